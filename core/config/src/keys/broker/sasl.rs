//! Authentication with SASL.

use crate::key::{ConfigKey, keys};

pub(in crate::keys) const KEYS: &[ConfigKey] = keys! {
    scope: ReadOnly;

    /// The mechanisms that clients may use.
    "sasl.enabled.mechanisms": List = "GSSAPI", any_list, per_broker;

    /// The mechanism that brokers use among themselves.
    "sasl.mechanism.inter.broker.protocol": String = "GSSAPI", per_broker;

    /// The mechanism that is used towards controllers.
    "sasl.mechanism.controller.protocol": String = "GSSAPI", high;

    /// Login modules and their options, in JAAS syntax; per listener and mechanism.
    "sasl.jaas.config": Password, per_broker;

    /// A class that checks credentials for a mechanism; per listener and mechanism.
    "sasl.server.callback.handler.class": Class;

    /// The largest SASL message that is read before authentication.
    "sasl.server.max.receive.size": Int = 524_288;

    /// A class that supplies credentials for outgoing connections.
    "sasl.client.callback.handler.class": Class;

    /// A class that obtains credentials at login.
    "sasl.login.callback.handler.class": Class;

    /// A class that performs logins.
    "sasl.login.class": Class;

    /// How long to wait for a connection to the authentication provider.
    "sasl.login.connect.timeout.ms": Int, low;

    /// How long to wait for an answer of the authentication provider.
    "sasl.login.read.timeout.ms": Int, low;

    /// The first pause between attempts to log in with the authentication provider.
    "sasl.login.retry.backoff.ms": Long = 100, low;

    /// The longest pause between attempts to log in with the authentication provider.
    "sasl.login.retry.backoff.max.ms": Long = 10_000, low;

    /// After which share of a credential's life it is refreshed.
    "sasl.login.refresh.window.factor": Double = 0.8, per_broker;

    /// How much that moment is shifted at random, as a share of the credential's life.
    "sasl.login.refresh.window.jitter": Double = 0.05, per_broker;

    /// The least time between two refreshes of a credential.
    "sasl.login.refresh.min.period.seconds": Short = 60, per_broker;

    /// How long before its end a credential is refreshed at the latest.
    "sasl.login.refresh.buffer.seconds": Short = 300, per_broker;

    /// The Kerberos name under which brokers run.
    "sasl.kerberos.service.name": String, per_broker;

    /// Path of the kinit command.
    "sasl.kerberos.kinit.cmd": String = "/usr/bin/kinit", per_broker;

    /// After which share of a ticket's life it is renewed.
    "sasl.kerberos.ticket.renew.window.factor": Double = 0.8, per_broker;

    /// How much that moment is shifted at random, as a share of the renewal time.
    "sasl.kerberos.ticket.renew.jitter": Double = 0.05, per_broker;

    /// The least time between two Kerberos logins.
    "sasl.kerberos.min.time.before.relogin": Long = 60_000, per_broker;

    /// Rules by which Kerberos principals become short names; the first that matches counts.
    "sasl.kerberos.principal.to.local.rules": List = "DEFAULT", any_list, per_broker;

    /// Where tokens are fetched: a URL, or a file.
    "sasl.oauthbearer.token.endpoint.url": String;

    /// Where the keys are fetched that tokens are checked with.
    "sasl.oauthbearer.jwks.endpoint.url": String;

    /// How often those keys are fetched anew.
    "sasl.oauthbearer.jwks.endpoint.refresh.ms": Long = 3_600_000, low;

    /// The first pause between attempts to fetch the keys.
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms": Long = 100, low;

    /// The longest pause between attempts to fetch the keys.
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms": Long = 10_000, low;

    /// The class that fetches tokens.
    "sasl.oauthbearer.jwt.retriever.class": Class = "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever";

    /// The class that checks tokens.
    "sasl.oauthbearer.jwt.validator.class": Class = "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator";

    /// Audiences of which a token must name one.
    "sasl.oauthbearer.expected.audience": List = "", any_list, high;

    /// The issuer that a token must name.
    "sasl.oauthbearer.expected.issuer": String, high;

    /// Whether a token's audience may go unchecked.
    "sasl.oauthbearer.allow.unverified.audience": Boolean = false;

    /// Whether a token's issuer may go unchecked.
    "sasl.oauthbearer.allow.unverified.issuer": Boolean = false;

    /// By how much the clocks of issuer and broker may differ.
    "sasl.oauthbearer.clock.skew.seconds": Int = 30, low;

    /// The scope that is asked for with a token.
    "sasl.oauthbearer.scope": String;

    /// Under which name a token carries its scope.
    "sasl.oauthbearer.scope.claim.name": String = "scope", low;

    /// Under which name a token carries its subject.
    "sasl.oauthbearer.sub.claim.name": String = "sub", low;

    /// The id that is shown to fetch a token.
    "sasl.oauthbearer.client.credentials.client.id": String;

    /// The secret that is shown to fetch a token.
    "sasl.oauthbearer.client.credentials.client.secret": Password;

    /// The algorithm with which an assertion is signed.
    "sasl.oauthbearer.assertion.algorithm": String = "RS256", one_of_any_case(&["ES256", "RS256"]);

    /// The audience that an assertion names.
    "sasl.oauthbearer.assertion.claim.aud": String;

    /// For how long an assertion is valid.
    "sasl.oauthbearer.assertion.claim.exp.seconds": Int = 300, between(0, 86_400), low;

    /// The issuer that an assertion names.
    "sasl.oauthbearer.assertion.claim.iss": String;

    /// Whether an assertion carries a unique id.
    "sasl.oauthbearer.assertion.claim.jti.include": Boolean = false;

    /// How far before its making an assertion begins to be valid.
    "sasl.oauthbearer.assertion.claim.nbf.seconds": Int = 60, between(0, 3600), low;

    /// The subject that an assertion names.
    "sasl.oauthbearer.assertion.claim.sub": String;

    /// A file that holds a ready-made assertion.
    "sasl.oauthbearer.assertion.file": String;

    /// A PEM file with the key that signs assertions.
    "sasl.oauthbearer.assertion.private.key.file": String;

    /// The passphrase of that key.
    "sasl.oauthbearer.assertion.private.key.passphrase": Password;

    /// A JSON file with claims and headers that every assertion gets.
    "sasl.oauthbearer.assertion.template.file": String;
};
