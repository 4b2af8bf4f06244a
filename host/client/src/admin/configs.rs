//! Configurations, of each resource at the broker that knows it.

use std::collections::BTreeMap;

use dohle_base::Str;
use dohle_client_core::{
    RequestError, Route,
    admin::configs::{self, AlterConfig, ByResource, ConfigEntry, ConfigResource, Detail},
};

use super::Admin;

impl Admin {
    /// Configurations: all of each resource, or those of `keys`.
    ///
    /// # Errors
    /// No answer of a broker that is needed.
    pub async fn describe_configs(
        &self,
        resources: &[ConfigResource],
        keys: Option<&[Str]>,
        detail: Detail,
    ) -> Result<ByResource<Vec<ConfigEntry>>, RequestError> {
        let mut outcomes = Vec::new();
        for (route, resources) in by_route(resources.iter().cloned(), configs::route) {
            let request = configs::describe(&resources, keys, detail);
            let answer = self.client.request(route, request).await?;
            outcomes.extend(configs::described(answer));
        }
        Ok(outcomes)
    }

    /// Changes configurations; those not named stay. With `validate_only` it is only checked
    /// whether that would work.
    ///
    /// # Errors
    /// No answer of a broker that is needed.
    pub async fn alter_configs(
        &self,
        changes: &[(ConfigResource, Vec<AlterConfig>)],
        validate_only: bool,
    ) -> Result<ByResource<()>, RequestError> {
        let mut outcomes = Vec::new();
        let route = |(resource, _): &(ConfigResource, _)| configs::route(resource);
        for (route, changes) in by_route(changes.iter().cloned(), route) {
            let request = configs::alter(&changes, validate_only);
            let answer = self.client.request(route, request).await?;
            outcomes.extend(configs::altered(answer));
        }
        Ok(outcomes)
    }
}

/// Things by their route, in the order of the routes.
fn by_route<W>(
    things: impl Iterator<Item = W>,
    route: impl Fn(&W) -> Route,
) -> BTreeMap<Route, Vec<W>> {
    let mut routes: BTreeMap<Route, Vec<W>> = BTreeMap::new();
    for thing in things {
        routes.entry(route(&thing)).or_default().push(thing);
    }
    routes
}
