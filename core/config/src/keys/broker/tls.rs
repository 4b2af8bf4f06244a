//! Encryption with TLS.

use crate::key::{ConfigKey, keys};

pub(in crate::keys) const KEYS: &[ConfigKey] = keys! {
    scope: ReadOnly;

    /// The protocol version that connections start from.
    "ssl.protocol": String = "TLSv1.3", per_broker;

    /// The protocol versions that are allowed.
    "ssl.enabled.protocols": List = "TLSv1.2,TLSv1.3", any_list, per_broker;

    /// The cipher suites that are allowed; empty means the library's choice.
    "ssl.cipher.suites": List = "", any_list, per_broker;

    /// Whether clients must, may or need not show a certificate.
    "ssl.client.auth": String = "none", one_of(&["required", "requested", "none"]), per_broker;

    /// How a server's name is checked against its certificate; empty means not at all.
    "ssl.endpoint.identification.algorithm": String = "https", low, per_broker;

    /// Rules by which a certificate's name becomes a principal; the first that matches counts.
    "ssl.principal.mapping.rules": String = "DEFAULT", low;

    /// Format of the key store: JKS, PKCS12 or PEM.
    "ssl.keystore.type": String = "JKS", per_broker;

    /// File of the key store.
    "ssl.keystore.location": String, per_broker;

    /// Password of the key store.
    "ssl.keystore.password": Password, per_broker;

    /// The private key itself, as PEM.
    "ssl.keystore.key": Password, per_broker;

    /// The certificate chain itself, as PEM.
    "ssl.keystore.certificate.chain": Password, per_broker;

    /// Password of the private key.
    "ssl.key.password": Password, per_broker;

    /// Format of the trust store: JKS, PKCS12 or PEM.
    "ssl.truststore.type": String = "JKS", per_broker;

    /// File of the trust store.
    "ssl.truststore.location": String, per_broker;

    /// Password of the trust store.
    "ssl.truststore.password": Password, per_broker;

    /// The trusted certificates themselves, as PEM.
    "ssl.truststore.certificates": Password, per_broker;

    /// Algorithm of Java's key manager; it has no meaning outside a JVM.
    "ssl.keymanager.algorithm": String = "SunX509", per_broker;

    /// Algorithm of Java's trust manager; it has no meaning outside a JVM.
    "ssl.trustmanager.algorithm": String = "PKIX", per_broker;

    /// Java security provider for TLS; it has no meaning outside a JVM.
    "ssl.provider": String, per_broker;

    /// Source of random numbers for TLS in Java; it has no meaning outside a JVM.
    "ssl.secure.random.implementation": String, low, per_broker;

    /// A class that makes TLS engines.
    "ssl.engine.factory.class": Class, low, per_broker;

    /// Whether a new key store may name another subject than the old one.
    "ssl.allow.dn.changes": Boolean = false, low;

    /// Whether a new key store may lack alternative names of the old one.
    "ssl.allow.san.changes": Boolean = false, low;
};
