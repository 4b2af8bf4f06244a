//! Goal: a node refuses what it would otherwise silently not do, and only that.

use crate::settings::tests::node_with;

#[test]
fn settings_that_somebody_relies_on_are_refused() {
    let refused = |more: &str| -> Vec<String> {
        node_with(more).unsupported().iter().map(ToString::to_string).collect()
    };
    assert_eq!(refused(""), [""; 0]);
    assert_eq!(refused("metric.reporters=com.example.R\nsecurity.providers=x\n"), [""; 0]);
    assert_eq!(
        refused("authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n"),
        [
            "authorizer.class.name = org.apache.kafka.metadata.authorizer.StandardAuthorizer: is not \
          supported yet (everybody could do everything)"
        ]
    );
    assert_eq!(
        refused("delegation.token.secret.key=hush\nremote.log.storage.system.enable=true\n"),
        [
            "delegation.token.secret.key = [hidden]: is not supported yet (there would be no \
             delegation tokens)",
            "remote.log.storage.system.enable = true: is not supported yet (nothing would be \
             copied to remote storage)",
        ]
    );
    assert_eq!(refused("principal.builder.class=com.example.B\n").len(), 1);
}
