//! One visitor who floods the chat's socket, and what the others notice of it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::tungstenite::{self, ClientRequestBuilder, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use uuid::Uuid;

use crate::{either, is_long};
use domain::widget::CONNECTIONS_PER_MINUTE;
use tests::suite::{Suite, percentile, remark};
use tests::{Business, World};

/// How many connections the flood has.
const CONNECTIONS: usize = 20;

/// How many messages a page has.
const PAGE: u64 = chat_socket::PAGE_SIZE as u64;

/// The time between two frames of each: five a second.
const GAP: Duration = Duration::from_millis(200);

/// How many others there are, each a business with a customer.
const OTHERS: usize = 5;

/// How many conversations each of their customers connects to in turn, so that no limit of one
/// conversation is met.
const TALKS: usize = 8;

/// The time between two hellos, or two messages, of each of the others.
const PAUSE: Duration = Duration::from_millis(500);

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

pub(crate) fn tests(suite: Suite) -> Suite {
    suite.test_alone("a_visitor_who_floods_the_chat_takes_it_from_no_other", flood)
}

/// The counts of a flood.
#[derive(Debug, Default)]
struct Flood {
    sent: AtomicU64,
    received: AtomicU64,
    handshakes: AtomicU64,
    is_over: AtomicBool,
}

/// The others' waits, in milliseconds.
#[derive(Debug, Default)]
struct Waits {
    hellos: Vec<u128>,
    sends: Vec<u128>,
}

/// One token, 20 connections, `{"action":"resume","after":0}` five times a second on each, which
/// connects again at once when it is cut off, on a conversation of 300 messages. The frames that
/// come back are counted, and the limits say how many there may be. How long the others' hellos and
/// messages take, without the flood and with it, is printed and not judged: it is a time of this
/// machine.
async fn flood() {
    let world = World::start().await;
    let messages: u64 = either(60, 300);
    let rounds = either(10, 100);

    let flooded = world.business(1_000, 1).await;
    let conversation_id = flooded.conversation_id("chat");
    let mut last = Uuid::nil();
    for number in 1..=messages {
        let text = format!("number {number}");
        last = world.send(&flooded.api_key, conversation_id, &text).go().await.id();
    }
    world.until_status(&flooded.api_key, conversation_id, last, "delivered").await;

    let others = join_all((0..OTHERS).map(|_| Other::new(&world))).await;
    measure(&world, &others, 3).await; // so that every process there will be has started
    let start = Work::until_now(&world);
    let alone = measure(&world, &others, rounds).await;
    let work_alone = Work::until_now(&world).since(&start);

    let token = world.visitor_token(conversation_id).await;
    let counts = Arc::new(Flood::default());
    let url = world.ready.websocket.clone();
    let begun = Instant::now();
    let floods: Vec<_> = (0..CONNECTIONS)
        .map(|_| tokio::spawn(keep_flooding(url.clone(), token.clone(), Arc::clone(&counts))))
        .collect();
    let start = Work::until_now(&world);
    let beside = measure(&world, &others, rounds).await;
    let work_beside = Work::until_now(&world).since(&start);
    counts.is_over.store(true, Ordering::Relaxed);
    for flood in floods {
        flood.await.expect("the flood ends");
    }

    // Each connection that is opened brings a hello, a page of short messages in one event each, a
    // caught_up and its refusal, and each frame has one answer at most besides the page that it
    // brings once. The flood touches one minute more than it lasts, and a part of one.
    let minutes = begun.elapsed().as_secs() / 60 + 2;
    let [sent, received, handshakes] = [&counts.sent, &counts.received, &counts.handshakes]
        .map(|count| count.load(Ordering::Relaxed));
    let opened = handshakes.min(u64::from(CONNECTIONS_PER_MINUTE) * minutes);
    let pages = messages.div_ceil(PAGE);
    let most = opened * (pages + 4) + sent;
    assert!(received <= most, "{received} frames came out, at most {most} may");

    if is_long() {
        let line = |name: &str, waits: &mut Waits, work: &Work| {
            let [hello, send] = [&mut waits.hellos, &mut waits.sends].map(|times| {
                times.sort_unstable();
                let of = |percent| percentile(times, percent).expect("a time");
                (of(50), of(99))
            });
            format!(
                "  {name:<18} hello p50 {:>4} ms  p99 {:>4} ms   201 p50 {:>4} ms  p99 {:>4} ms   {work}\n",
                hello.0, hello.1, send.0, send.1
            )
        };
        let (mut alone, mut beside) = (alone, beside);
        remark(format!(
            "\n  {OTHERS} others, {rounds} hellos and messages each; the flood: {sent} frames in, \
             {received} out, {handshakes} handshakes:\n{}{}",
            line("alone", &mut alone, &work_alone),
            line("beside the flood", &mut beside, &work_beside),
        ));
    }
    world.pass(61).await;
}

/// Another business, and the conversations of its customer.
struct Other {
    business: Business,
    talks: Vec<Uuid>,
}

impl Other {
    async fn new(world: &World) -> Other {
        let business = world.business(10_000, 1).await;
        let talks = (0..TALKS).map(|_| world.another_conversation(&business, "chat"));
        let talks = join_all(talks).await;
        Other { business, talks }
    }
}

/// The work that the system has done; unlike a wait, it does not depend on what else the machine
/// does.
#[derive(Debug)]
struct Work {
    /// Invocations of all functions.
    invocations: u64,
    /// Calls of chat-socket, and of the other functions, to AWS.
    chat_calls: u64,
    other_calls: u64,
    /// The time that functions have had a processor, and that this process has: AWS, the clients
    /// and the flood. In ticks, of which a second has a hundred (`proc(5)`,
    /// `sysconf(_SC_CLK_TCK)`).
    functions: u64,
    rest: u64,
}

impl Work {
    fn until_now(world: &World) -> Work {
        let (chat, other): (Vec<_>, Vec<_>) =
            world.calls().into_iter().partition(|((function, _), _)| function == "ChatSocket");
        let sum = |calls: Vec<(_, u64)>| calls.into_iter().map(|(_, times)| times).sum();
        let (functions, rest) = ticks();
        Work {
            invocations: world.engine().events(),
            chat_calls: sum(chat),
            other_calls: sum(other),
            functions,
            rest,
        }
    }

    fn since(&self, start: &Work) -> Work {
        Work {
            invocations: self.invocations - start.invocations,
            chat_calls: self.chat_calls - start.chat_calls,
            other_calls: self.other_calls - start.other_calls,
            functions: self.functions - start.functions,
            rest: self.rest - start.rest,
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Work { invocations, chat_calls, other_calls, functions, rest } = self;
        let [functions, rest] = [functions, rest].map(|ticks| ticks / 100);
        write!(
            f,
            "{invocations} invocations, {chat_calls} calls of chat-socket, {other_calls} of others, \
             {functions} s of functions, {rest} s of the rest"
        )
    }
}

/// The processor time of this process's children, those that have ended among them, and its own.
fn ticks() -> (u64, u64) {
    let own = std::process::id().to_string();
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = all.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());

    let (mut children, mut rest) = (0, 0);
    for stat in stats {
        let Some((start, fields)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // The parent, and the times of the process and of its children that have ended.
        let [parent, times @ ..] = [1, 11, 12, 13, 14].map(|index| fields[index]);
        let times = times.map(|ticks| ticks.parse::<u64>().unwrap_or_default());
        if start.split(' ').next() == Some(&own) {
            rest += times[0] + times[1];
            children += times[2] + times[3];
        } else if parent == own {
            children += times[0] + times[1];
        }
    }
    (children, rest)
}

/// Has every other business send messages, and its customer connect and say hello, so many times.
async fn measure(world: &World, others: &[Other], rounds: usize) -> Waits {
    let each = others.iter().map(async |other| {
        let hellos = async {
            let mut waits = Vec::new();
            let mut pace = tokio::time::interval(PAUSE);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            for talk in other.talks.iter().cycle().take(rounds) {
                pace.tick().await;
                let token = world.visitor_token(*talk).await;
                let begun = Instant::now();
                greet(&world.ready.websocket, &token).await;
                waits.push(begun.elapsed().as_millis());
            }
            waits
        };
        let sends = async {
            let mut waits = Vec::new();
            let mut pace = tokio::time::interval(PAUSE);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            for number in 0..rounds {
                pace.tick().await;
                let begun = Instant::now();
                let to = other.business.conversation_id("email");
                world
                    .send(&other.business.api_key, to, &format!("message {number}"))
                    .go()
                    .await
                    .id();
                waits.push(begun.elapsed().as_millis());
            }
            waits
        };
        tokio::join!(hellos, sends)
    });

    let mut all = Waits::default();
    for (hellos, sends) in join_all(each).await {
        all.hellos.extend(hellos);
        all.sends.extend(sends);
    }
    all
}

/// Connects, says hello, and waits until everything there was is there; as often as it takes.
async fn greet(url: &str, token: &str) {
    loop {
        let Ok(mut socket) = connect(url, token).await else { continue };
        say(&mut socket, &json!({"action": "hello", "after": 0})).await;
        while let Some(Ok(frame)) = socket.next().await {
            if frame.to_text().is_ok_and(|text| text.contains("caught_up")) {
                return;
            }
        }
    }
}

/// Floods on one connection after the other, until it is over.
async fn keep_flooding(url: String, token: String, counts: Arc<Flood>) {
    let mut pace = tokio::time::interval(GAP);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !counts.is_over.load(Ordering::Relaxed) {
        pace.tick().await;
        counts.handshakes.fetch_add(1, Ordering::Relaxed);
        let Ok(mut socket) = connect(&url, &token).await else { continue };
        say(&mut socket, &json!({"action": "hello", "after": 0})).await;

        while !counts.is_over.load(Ordering::Relaxed) {
            tokio::select! {
                frame = socket.next() => match frame {
                    Some(Ok(Message::Text(_))) => {
                        counts.received.fetch_add(1, Ordering::Relaxed);
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                    Some(Ok(_)) => {}
                },
                _ = pace.tick() => {
                    counts.sent.fetch_add(1, Ordering::Relaxed);
                    say(&mut socket, &json!({"action": "resume", "after": 0})).await;
                }
            }
        }
    }
}

async fn connect(url: &str, token: &str) -> Result<Socket, tungstenite::Error> {
    let handshake = ClientRequestBuilder::new(url.parse().expect("an address"))
        .with_sub_protocol("pingback-chat")
        .with_sub_protocol(format!("token.{token}"));
    Ok(tokio_tungstenite::connect_async(handshake).await?.0)
}

/// Sends a frame; a connection that is closed takes none.
async fn say(socket: &mut Socket, what: &Value) {
    let _ = socket.send(Message::text(what.to_string())).await;
}
