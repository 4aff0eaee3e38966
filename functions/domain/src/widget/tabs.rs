//! Which tabs of a conversation are connected.

use std::collections::BTreeMap;

use chrono::serde::{ts_milliseconds, ts_milliseconds_option};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{BAR, CONNECTIONS_PER_MINUTE, MAX_TABS, MinuteCount, WidgetRefusal};

/// The connected tabs of one conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tabs {
    /// The tabs, by the id of their connection.
    open: BTreeMap<String, Tab>,
    /// How many were opened in the running minute.
    opened: Option<MinuteCount>,
    /// Until when none is opened.
    #[serde(default, with = "ts_milliseconds_option", skip_serializing_if = "Option::is_none")]
    barred_until: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Tab {
    #[serde(with = "ts_milliseconds")]
    since: DateTime<Utc>,
}

/// A new tab's admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TabsAdmission {
    /// The tabs with the new one.
    pub tabs: Tabs,
    /// The connection whose place it takes.
    pub displaced: Option<String>,
}

/// The outcome of barring a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BarOutcome {
    /// No connection is opened for [`BAR`].
    Barred {
        /// The tabs from then on: none.
        tabs: Tabs,
        /// The connections that were open.
        ended: Vec<String>,
    },
    /// It was barred before.
    AlreadyBarred,
}

impl Tabs {
    /// True if a connection is one of them.
    #[must_use]
    pub fn contains(&self, connection_id: &str) -> bool {
        self.open.contains_key(connection_id)
    }

    /// Admits a new tab. It takes the place of the oldest one if there are [`MAX_TABS`]: the
    /// customer looks at the newest, and a tab whose end was never reported would lock the customer
    /// out until API Gateway ends it. Tabs that are older than `max_age` were ended by API Gateway.
    ///
    /// # Errors
    /// [`WidgetRefusal::Barred`] and [`WidgetRefusal::TooManyConnections`].
    pub fn admit(
        &self,
        connection_id: &str,
        max_age: TimeDelta,
        now: DateTime<Utc>,
    ) -> Result<TabsAdmission, WidgetRefusal> {
        if let Some(until) = self.barred_until(now) {
            return Err(WidgetRefusal::Barred(until));
        }
        let opened = MinuteCount::spend(self.opened, CONNECTIONS_PER_MINUTE, now)
            .map_err(WidgetRefusal::TooManyConnections)?;

        let mut open = self.open.clone();
        open.retain(|_, tab| now < tab.since + max_age);

        let oldest = open.iter().min_by_key(|(_, tab)| tab.since).map(|(id, _)| id.clone());
        let displaced = oldest.filter(|_| open.len() >= MAX_TABS);
        if let Some(displaced) = &displaced {
            open.remove(displaced);
        }

        open.insert(connection_id.to_owned(), Tab { since: now });
        let tabs = Tabs { open, opened: Some(opened), barred_until: None };
        Ok(TabsAdmission { tabs, displaced })
    }

    /// Ends all tabs, and admits none for [`BAR`].
    #[must_use]
    pub fn bar(&self, now: DateTime<Utc>) -> BarOutcome {
        if self.barred_until(now).is_some() {
            return BarOutcome::AlreadyBarred;
        }
        BarOutcome::Barred {
            tabs: Tabs {
                open: BTreeMap::new(),
                opened: self.opened,
                barred_until: Some(now + BAR),
            },
            ended: self.open.keys().cloned().collect(),
        }
    }

    /// Returns until when no tab is admitted. A bar that ends later than one that begins now was
    /// made by a clock that was set back since; clocks of processes differ by less than [`BAR`].
    fn barred_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.barred_until.filter(|until| now < *until && *until <= now + BAR * 2)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOURS: TimeDelta = TimeDelta::hours(2);

    proptest! {
        #[test]
        fn there_are_never_more_tabs_than_the_limit_and_the_oldest_goes_first(
            gaps in prop::collection::vec(2_000i64..90_000, 1..80),
        ) {
            let mut now = DateTime::UNIX_EPOCH;
            let mut tabs = Tabs::default();
            let mut expected: Vec<String> = Vec::new();

            for (number, gap) in gaps.into_iter().enumerate() {
                now += TimeDelta::milliseconds(gap);
                let id = number.to_string();
                let admission = tabs.admit(&id, HOURS, now).expect("few a minute");
                expected.push(id);
                let oldest = (expected.len() > MAX_TABS).then(|| expected.remove(0));

                prop_assert_eq!(&admission.displaced, &oldest);
                tabs = admission.tabs;
                prop_assert_eq!(tabs.open.len(), expected.len());
                prop_assert!(expected.iter().all(|id| tabs.contains(id)));
            }
        }
    }

    #[test]
    fn a_conversation_opens_only_so_many_connections_a_minute() {
        let now = DateTime::UNIX_EPOCH;
        let mut tabs = Tabs::default();
        for number in 0..CONNECTIONS_PER_MINUTE {
            tabs = tabs.admit(&number.to_string(), HOURS, now).expect("within the limit").tabs;
        }

        let refused = tabs.admit("one more", HOURS, now);
        let again = now + TimeDelta::minutes(1);
        assert_eq!(refused, Err(WidgetRefusal::TooManyConnections(again)));
        assert!(tabs.admit("one more", HOURS, again).is_ok());
    }

    #[test]
    fn a_conversation_that_is_barred_has_no_tab_and_opens_none_until_the_bar_is_over() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(40);
        let mut tabs = Tabs::default();
        for id in ["one", "other"] {
            tabs = tabs.admit(id, HOURS, now).expect("within the limit").tabs;
        }

        let BarOutcome::Barred { tabs, ended } = tabs.bar(now) else { panic!("barred before") };
        assert_eq!(ended, ["one", "other"]);
        assert!(!tabs.contains("one") && !tabs.contains("other"));
        assert_eq!(tabs.bar(now), BarOutcome::AlreadyBarred);
        let refused = Err(WidgetRefusal::Barred(now + BAR));
        assert_eq!(tabs.admit("one", HOURS, now), refused);
        assert_eq!(tabs.admit("one", HOURS, now + BAR - TimeDelta::milliseconds(1)), refused);

        for later in [now + BAR, now - TimeDelta::days(1)] {
            let back = tabs.admit("one", HOURS, later).expect("the bar is over").tabs;
            assert!(matches!(back.bar(later), BarOutcome::Barred { .. }));
        }
    }

    #[test]
    fn a_tab_that_api_gateway_has_ended_takes_no_place() {
        let now = DateTime::UNIX_EPOCH;
        let mut tabs = Tabs::default();
        for number in 0..MAX_TABS {
            tabs = tabs.admit(&number.to_string(), HOURS, now).expect("within the limit").tabs;
        }

        let admission = tabs.admit("later", HOURS, now + HOURS).expect("within the limit");
        assert_eq!((admission.displaced, admission.tabs.open.len()), (None, 1));
    }
}
