//! The throttles of an API's routes: a token bucket for each, as API Gateway has them.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-protect.html>,
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html>

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::template::Throttle;

/// The routes that are throttled.
#[derive(Debug, Default)]
pub(super) struct Throttles(BTreeMap<String, Bucket>);

#[derive(Debug)]
struct Bucket {
    throttle: Throttle,
    state: Mutex<(f64, Instant)>,
}

impl Throttles {
    /// Throttles each of `routes` by its own settings, or else by the default ones.
    pub(super) fn new<'a>(
        routes: impl Iterator<Item = &'a String>,
        own: &BTreeMap<String, Throttle>,
        default: Option<Throttle>,
    ) -> Self {
        let bucket = |route: &String| {
            let throttle = own.get(route).copied().or(default)?;
            let state = Mutex::new((f64::from(throttle.burst), Instant::now()));
            Some((route.clone(), Bucket { throttle, state }))
        };
        Self(routes.filter_map(bucket).collect())
    }

    /// Takes a token for one request; false if the route has none left.
    pub(super) fn admit(&self, route: &str) -> bool {
        let Some(Bucket { throttle, state }) = self.0.get(route) else { return true };
        let now = Instant::now();

        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, since) = *state;
        let refilled = tokens + throttle.rate * now.duration_since(since).as_secs_f64();
        let tokens = refilled.min(f64::from(throttle.burst));

        let is_admitted = tokens >= 1.0;
        *state = (if is_admitted { tokens - 1.0 } else { tokens }, now);
        is_admitted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_route_takes_its_burst_and_then_its_rate() {
        let routes = ["$connect".to_owned(), "$default".to_owned()];
        let own = BTreeMap::from([(routes[0].clone(), Throttle { rate: 2.0, burst: 3 })]);
        let throttles = Throttles::new(routes.iter(), &own, None);

        let admitted = |count: usize| (0..count).filter(|_| throttles.admit("$connect")).count();
        assert_eq!(admitted(5), 3);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(admitted(5), 2);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(admitted(9), 3);
        assert!((0..99).all(|_| throttles.admit("$default")), "it has no throttle");
    }
}
