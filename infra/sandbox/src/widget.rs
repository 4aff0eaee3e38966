//! The customers of the chat channel, connected or sent away. `session.rs` plays one of them.

mod endpoint;
mod session;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::channel::Channel;
use crate::visitor::Visitor;
use session::{Session, turned_true};

pub(crate) use endpoint::WidgetEndpoint;

/// How long a caller waits for the customers' hellos to be answered.
const HELLO_WAIT: Duration = Duration::from_secs(20);
/// How long a goodbye may take.
const GOODBYE_WAIT: Duration = Duration::from_secs(1);

/// All widgets, connected or not.
#[derive(Debug)]
pub(crate) struct Widgets {
    endpoint: WidgetEndpoint,
    chat: Arc<Channel>,
    customers: Mutex<Customers>,
    holding: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Customers {
    away: bool,
    visitors: Vec<Visitor>,
    open: HashMap<Uuid, Widget>,
}

#[derive(Debug)]
struct Widget {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
    greeted: watch::Receiver<bool>,
}

impl Drop for Widget {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Widgets {
    /// No widgets yet.
    pub(crate) fn new(endpoint: WidgetEndpoint, chat: Arc<Channel>) -> Self {
        Self { endpoint, chat, customers: Mutex::default(), holding: Arc::default() }
    }

    /// The way into the system.
    pub(crate) fn endpoint(&self) -> &WidgetEndpoint {
        &self.endpoint
    }

    /// Returns the visitor of a conversation, or the first there is, connected or not.
    pub(crate) async fn visitor(&self, conversation: Option<Uuid>) -> Option<Visitor> {
        let customers = self.customers.lock().await;
        let wanted = |visitor: &&Visitor| {
            conversation.is_none_or(|wanted| visitor.conversation_id == wanted)
        };
        customers.visitors.iter().find(wanted).copied()
    }

    /// Opens a widget for each visitor; if customers were sent away, [`Widgets::bring_back`] opens
    /// it. Returns how many of those opened were not greeted in time (they go on trying).
    pub(crate) async fn add(&self, visitors: Vec<Visitor>) -> usize {
        let mut customers = self.customers.lock().await;
        let new: Vec<_> =
            visitors.into_iter().filter(|visitor| !customers.visitors.contains(visitor)).collect();
        customers.visitors.extend(&new);
        if customers.away {
            return 0;
        }
        let hellos = self.open(&mut customers, new);
        drop(customers);
        unanswered(hellos).await
    }

    /// Closes every widget; messages wait from now on.
    pub(crate) async fn send_away(&self) {
        let mut customers = self.customers.lock().await;
        customers.away = true;
        close(&mut customers).await;
    }

    /// Opens every widget again; each gets what it missed. Returns the same as [`Widgets::add`].
    pub(crate) async fn bring_back(&self) -> usize {
        let mut customers = self.customers.lock().await;
        customers.away = false;
        let absent = |visitor: &&Visitor| !customers.open.contains_key(&visitor.conversation_id);
        let absent = customers.visitors.iter().filter(absent).copied().collect();
        let hellos = self.open(&mut customers, absent);
        drop(customers);
        unanswered(hellos).await
    }

    /// Closes every widget and opens it again, as after a broken connection.
    pub(crate) async fn reconnect(&self) {
        let mut customers = self.customers.lock().await;
        if customers.away {
            return;
        }
        close(&mut customers).await;
        let all = customers.visitors.clone();
        let hellos = self.open(&mut customers, all);
        drop(customers);
        unanswered(hellos).await;
    }

    /// Returns how many customers there are, and whether they are away.
    pub(crate) async fn count(&self) -> (usize, bool) {
        let customers = self.customers.lock().await;
        (customers.visitors.len(), customers.away)
    }

    /// Returns how many open widgets are on their way to be greeted.
    pub(crate) async fn connecting(&self) -> usize {
        let customers = self.customers.lock().await;
        customers.open.values().filter(|widget| !*widget.greeted.borrow()).count()
    }

    /// Returns how many widgets hold a message back because one before it is missing.
    pub(crate) fn holding(&self) -> usize {
        self.holding.load(Ordering::Relaxed)
    }

    /// Opens widgets; each receiver turns true when its widget was greeted.
    fn open(
        &self,
        customers: &mut Customers,
        visitors: Vec<Visitor>,
    ) -> Vec<watch::Receiver<bool>> {
        let open = visitors.into_iter().map(|visitor| {
            let (stop, stopping) = watch::channel(false);
            let (greet, greeted) = watch::channel(false);
            let conversation = visitor.conversation_id;
            let session = Session::new(
                self.endpoint.clone(),
                self.chat.clone(),
                visitor,
                greet,
                self.holding.clone(),
            );
            let task = tokio::spawn(session.run(stopping));
            customers.open.insert(conversation, Widget { task, stop, greeted: greeted.clone() });
            greeted
        });

        open.collect()
    }
}

/// Waits for the hellos, and returns how many were not answered in time.
async fn unanswered(mut hellos: Vec<watch::Receiver<bool>>) -> usize {
    let all = futures_util::future::join_all(hellos.iter_mut().map(turned_true));
    let _ = tokio::time::timeout(HELLO_WAIT, all).await;
    hellos.iter().filter(|greeted| !*greeted.borrow()).count()
}

async fn close(customers: &mut Customers) {
    let stopping = customers.open.drain().map(|(_, mut widget)| async move {
        let _ = widget.stop.send(true);
        if tokio::time::timeout(GOODBYE_WAIT, &mut widget.task).await.is_err() {
            widget.task.abort();
        }
    });
    futures_util::future::join_all(stopping).await;
}

#[cfg(test)]
mod tests;
