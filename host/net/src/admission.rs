//! How many connections there may be: in all, and from one address.
//!
//! At the total each accept loop waits with the connection that it has just accepted, so that
//! further peers queue in the kernel's backlog; above the
//! bound of an address a connection is closed at once. Both as Kafka does.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Options;

/// The counts, shared by all listeners of a server.
pub(crate) struct Admission {
    total: Arc<Semaphore>,
    per_ip_max: usize,
    overrides: BTreeMap<IpAddr, usize>,
    per_ip: Mutex<BTreeMap<IpAddr, usize>>,
}

/// A connection's right to exist; gives its places back when dropped.
pub(crate) struct Admitted {
    _place: OwnedSemaphorePermit,
    /// Absent for addresses without a bound, which are not counted.
    counted: Option<(Arc<Admission>, IpAddr)>,
}

impl Admission {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            total: Arc::new(Semaphore::new(options.connections_max.min(Semaphore::MAX_PERMITS))),
            per_ip_max: options.connections_per_ip_max,
            overrides: options.connections_per_ip_overrides.clone(),
            per_ip: Mutex::default(),
        }
    }

    /// Waits for a free place among all connections.
    pub(crate) async fn place(&self) -> OwnedSemaphorePermit {
        let place = Arc::clone(&self.total).acquire_owned().await;
        place.expect("the semaphore is never closed")
    }

    /// Counts a connection from `ip` on `place`, or refuses it.
    pub(crate) fn admit(
        self: &Arc<Self>,
        ip: IpAddr,
        place: OwnedSemaphorePermit,
    ) -> Option<Admitted> {
        let max = self.overrides.get(&ip).copied().unwrap_or(self.per_ip_max);
        if max >= i32::MAX as usize {
            return Some(Admitted { _place: place, counted: None });
        }
        let mut per_ip = self.per_ip.lock().unwrap_or_else(PoisonError::into_inner);
        let count = per_ip.get(&ip).copied().unwrap_or(0);
        if count >= max {
            return None;
        }
        per_ip.insert(ip, count + 1);
        Some(Admitted { _place: place, counted: Some((Arc::clone(self), ip)) })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let Some((admission, ip)) = &self.counted else { return };
        let mut per_ip = admission.per_ip.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = per_ip.get_mut(ip) {
            *count -= 1;
            if *count == 0 {
                per_ip.remove(ip);
            }
        }
    }
}
