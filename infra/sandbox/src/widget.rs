//! The customers of the chat channel, here or sent away. What one of them does with its connection
//! is in `session.rs`.

mod session;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::channel::Channel;
use super::clock::Clock;
use crate::seed::Keys;
use emulator::Engine;
use session::Session;

/// How long somebody who brings customers back waits for their hello to be answered.
const HELLO_WAIT: Duration = Duration::from_secs(5);
/// How long a goodbye may take.
const GOODBYE_WAIT: Duration = Duration::from_secs(1);

/// Somebody who chats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visitor {
    /// With whom.
    pub business_id: Uuid,
    /// The conversation they are in.
    pub conversation_id: Uuid,
}

/// The way in: where the doors are, and the tokens that open them. Here the sandbox plays the site
/// with the widget, which signs tokens for whoever is on its pages.
#[derive(Debug, Clone)]
pub struct Gate {
    /// Where widgets connect.
    pub(super) websocket_url: String,
    /// Base URL of the API, for what does not fit through there.
    pub(super) api_url: String,
    keys: Keys,
    clock: Arc<Clock>,
}

impl Gate {
    /// Into the running system.
    pub fn new(engine: &Engine, keys: Keys, clock: Arc<Clock>) -> Self {
        let (websocket_url, api_url) =
            (engine.websocket_url().to_owned(), engine.api_url().to_owned());
        Self { websocket_url, api_url, keys, clock }
    }

    /// A token that is good from now on.
    pub(super) fn token(&self, visitor: Visitor) -> String {
        self.keys.visitor_token(visitor.business_id, visitor.conversation_id, self.clock.now())
    }
}

/// All of them, here or away.
#[derive(Debug)]
pub struct Widgets {
    gate: Gate,
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
    leave: watch::Sender<bool>,
}

impl Drop for Widget {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Widgets {
    /// Nobody yet.
    pub fn new(gate: Gate, chat: Arc<Channel>) -> Self {
        Self { gate, chat, customers: Mutex::default(), holding: Arc::default() }
    }

    /// The way in.
    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The one who chats in a conversation, or the first there is; it does not matter whether they
    /// are here.
    pub(super) async fn visitor(&self, conversation: Option<Uuid>) -> Option<Visitor> {
        let customers = self.customers.lock().await;
        let wanted = |visitor: &&Visitor| {
            conversation.is_none_or(|wanted| visitor.conversation_id == wanted)
        };
        customers.visitors.iter().find(wanted).copied()
    }

    /// Opens a widget for each of them, unless customers were sent away; they are then remembered
    /// for later. Answers how many of those opened were not greeted in time (they go on trying).
    pub async fn add(&self, visitors: Vec<Visitor>) -> usize {
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
    pub async fn send_away(&self) {
        let mut customers = self.customers.lock().await;
        customers.away = true;
        close(&mut customers).await;
    }

    /// Opens every widget again; each gets what it missed. Answers as [`Widgets::add`].
    pub async fn bring_back(&self) -> usize {
        let mut customers = self.customers.lock().await;
        customers.away = false;
        let absent = |visitor: &&Visitor| !customers.open.contains_key(&visitor.conversation_id);
        let absent = customers.visitors.iter().filter(absent).copied().collect();
        let hellos = self.open(&mut customers, absent);
        drop(customers);
        unanswered(hellos).await
    }

    /// Everybody who is here leaves and comes back, as after a break in the line.
    pub async fn reconnect(&self) {
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

    /// How many customers there are, and whether they are away.
    pub async fn count(&self) -> (usize, bool) {
        let customers = self.customers.lock().await;
        (customers.visitors.len(), customers.away)
    }

    /// How many of them have a message that they do not show yet, because one before it is missing.
    pub fn holding(&self) -> usize {
        self.holding.load(Ordering::Relaxed)
    }

    /// What it answers turns true when the widget was greeted.
    fn open(
        &self,
        customers: &mut Customers,
        visitors: Vec<Visitor>,
    ) -> Vec<watch::Receiver<bool>> {
        let open = visitors.into_iter().map(|visitor| {
            let (leave, leaving) = watch::channel(false);
            let (greet, greeted) = watch::channel(false);
            let conversation = visitor.conversation_id;
            let session = Session::new(
                self.gate.clone(),
                self.chat.clone(),
                visitor,
                greet,
                self.holding.clone(),
            );
            let task = tokio::spawn(session.run(leaving));
            customers.open.insert(conversation, Widget { task, leave });
            greeted
        });
        open.collect()
    }
}

/// How many are not greeted in time.
async fn unanswered(mut hellos: Vec<watch::Receiver<bool>>) -> usize {
    let all = futures_util::future::join_all(hellos.iter_mut().map(turned_true));
    let _ = tokio::time::timeout(HELLO_WAIT, all).await;
    hellos.iter().filter(|greeted| !*greeted.borrow()).count()
}

async fn close(customers: &mut Customers) {
    let leaving = customers.open.drain().map(|(_, mut widget)| async move {
        let _ = widget.leave.send(true);
        if tokio::time::timeout(GOODBYE_WAIT, &mut widget.task).await.is_err() {
            widget.task.abort();
        }
    });
    futures_util::future::join_all(leaving).await;
}

async fn turned_true(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|flag| *flag).await;
}

#[cfg(test)]
mod tests;
