//! Goal: variables in values are replaced from where they say, and nothing else is.

use super::*;

/// An environment of one variable, and a file system of a few files.
struct Host;

impl ProviderHost for Host {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "HOME").then(|| "/home/dohle".into())
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        match path {
            "/etc/secrets.properties" => Ok("password=s\\u00e4cret\n".into()),
            "/run/secrets/token" => Ok("t0ken".into()),
            "/etc/latin1" => Ok(vec![b'a', b'=', 0xe4]),
            _ => Err(format!("{path}: no such file")),
        }
    }
}

const DECLARED: &str = "\
config.providers=env, file,dir,caged,classless
config.providers.env.class=org.apache.kafka.common.config.provider.EnvVarConfigProvider
config.providers.env.param.allowlist.pattern=.*
config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider
config.providers.dir.class=org.apache.kafka.common.config.provider.DirectoryConfigProvider
config.providers.caged.class=org.apache.kafka.common.config.provider.DirectoryConfigProvider
config.providers.caged.param.allowed.paths=/run/secrets,/tmp
";

fn resolve(value: &str) -> Result<String, String> {
    let properties = Properties::parse(DECLARED).expect("well-formed");
    let providers = Providers::declared(&properties).expect("known classes");
    match providers.resolve("a.key", value, &Host) {
        Ok(text) => Ok(text.into()),
        Err(ConfigError::Provider { key, fault, .. }) if key == "a.key" => Err(fault.into()),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn variables_are_replaced() {
    for (value, wanted) in [
        ("plain", "plain"),
        ("$HOME ${} ${HOME}", "$HOME ${} ${HOME}"),
        ("${env:HOME}", "/home/dohle"),
        ("${env:HOME}/a:${env:HOME}/b", "/home/dohle/a:/home/dohle/b"),
        ("${file:/etc/secrets.properties:password}", "säcret"),
        ("${dir:/run/secrets:token}", "t0ken"),
        ("${dir:/run/secrets/:token}", "t0ken"),
        ("${caged:/run/secrets:token}", "t0ken"),
        ("${caged:/run/./x/../secrets:token}", "${never}"),
        ("${env:HOME", "${env:HOME"),
    ] {
        let wanted = match wanted {
            // The path is allowed, but this host does not know the file under that name.
            "${never}" => Err("/run/./x/../secrets/token: no such file".into()),
            text => Ok(text.into()),
        };
        assert_eq!(resolve(value), wanted, "{value}");
    }
}

#[test]
fn variables_without_a_value_are_faults() {
    for (value, fault) in [
        (
            "${vault:a}",
            "there is no provider vault; it takes config.providers=vault and \
             config.providers.vault.class",
        ),
        (
            "${classless:a}",
            "there is no provider classless; it takes config.providers=classless and \
             config.providers.classless.class",
        ),
        ("${env:NOTHING}", "NOTHING has no value"),
        ("${env:/etc:HOME}", "environment variables have no path"),
        ("${file:/etc/secrets.properties:user}", "user has no value"),
        ("${file:/etc/absent:user}", "/etc/absent: no such file"),
        ("${file:/etc/latin1:a}", "/etc/latin1 is not UTF-8"),
        ("${dir:/run/secrets:../token}", "../token has no value"),
        (
            "${caged:/run/secrets/../../etc:x}",
            "/run/secrets/../../etc/x is not below one of the allowed paths",
        ),
        ("${caged:run/secrets:token}", "run/secrets/token is not below one of the allowed paths"),
    ] {
        assert_eq!(resolve(value), Err(fault.into()), "{value}");
    }
}

#[test]
fn declarations_that_cannot_be_obeyed_are_faults() {
    for (text, key) in [
        (
            "config.providers=a\nconfig.providers.a.class=com.example.Vault",
            "config.providers.a.class",
        ),
        (
            "config.providers=a\n\
             config.providers.a.class=org.apache.kafka.common.config.provider.EnvVarConfigProvider\n\
             config.providers.a.param.allowlist.pattern=KAFKA_.*",
            "config.providers.a.param.allowlist.pattern",
        ),
    ] {
        let properties = Properties::parse(text).expect("well-formed");
        let fault = Providers::declared(&properties).expect_err("cannot be obeyed");
        assert_eq!(fault.key(), key);
    }
}
