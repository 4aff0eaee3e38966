//! Bounds that hang together: times, sizes and numbers that are written in two places, of which one
//! relies on the other. Each pair is compared here and nowhere else, over the template, the code,
//! the contract and the widget.
//!
//! A constant that only this file reads outside its crate is public for that reason.

use std::time::Duration;

use chrono::TimeDelta;
use yaml_serde::Value;

use crate::contract::Document;
use crate::template::{Function, Template, reference};
use crate::{Violations, files, pascal_case, read};
use attachments::form::FORM_OVERHEAD_BYTES;
use chat_socket::ChatSocket;
use deliver_chat::Widgets;
use deliver_email::attachments::MAX_INLINE_BYTES;
use deliver_email::ses::{SES_TIMEOUT, Ses};
use deliver_whatsapp::authorized::CONNECT_TIMEOUT as WHATSAPP_CONNECT_TIMEOUT;
use deliver_whatsapp::cloud_api::{CloudApi, MESSAGE_RESERVE, MESSAGE_TIMEOUT, UPLOAD_RATE};
use deliver_whatsapp::media::{MAX_MEMORY_MIB, MEDIA_ID_TTL};
use domain::channel::Channel;
use domain::delivery::{
    AWAY_RETRY_INTERVAL, MAX_AGE, MAX_BACKOFF, PAUSE_CHECK_INTERVAL, RESUME_SPREAD,
};
use domain::file::{
    MAX_FORM_FILE_BYTES, REFERENCE_MARGIN, REFERENCED_DAYS, UNREFERENCED_DAYS, UPLOAD_TTL,
};
use domain::problem::{MAX_ECHO_CHARACTERS, MAX_LISTED_ERRORS};
use domain::widget::MAX_MESSAGE_CHARACTERS;
use platform::aws::{ATTEMPT_TIMEOUT, CONNECT_TIMEOUT, OPERATION_TIMEOUT};
use platform::credential::visitor;
use platform::delivery::{
    CHANNEL_TTL, LEASE, LEASE_RESERVE, MAX_CONCURRENT_RECORDS, MIN_MESSAGE_TIME, Provider,
    RENEW_AT, RING_AGAIN_AFTER, Worker,
};
use platform::files::{DOWNLOAD_URL_TTL, UPLOAD_URL_TTL};
use platform::queue::{
    HIDDEN_MINUTES, LONG_POLL_SECONDS, MAX_DELAY_SECONDS, OPERATOR_TIMEOUT, SQS_TIMEOUT,
};
use platform::receipt_keys::SIGNING_DELAY;
use platform::runtime::{ANSWER_RESERVE, EventFunction};
use platform::secrets::{MIN_REFRESH_INTERVAL, SECRET_TTL};
use platform::sockets::{MAX_EVENT_BYTES, POST_TIMEOUT};
use platform::table::{
    ACCEPT_DEADLINE, ACCEPT_LAST_TRY, CONTENTION_BUDGET, IDEMPOTENCY_TTL, MAX_CONNECTION_AGE,
};
use read_messages::page::MAX_PAGE_BYTES;
use sweep_outbox::SweepOutbox;

/// How long SQS keeps a message if the template does not say
/// ([CreateQueue](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html)).
const SQS_DEFAULT_RETENTION: Duration = Duration::from_secs(4 * 24 * 60 * 60);

/// The longest retention and the longest visibility time-out that SQS takes, and the longest delay
/// of a message, from the same page.
const SQS_LONGEST_RETENTION: Duration = Duration::from_secs(14 * 24 * 60 * 60);
const SQS_LONGEST_VISIBILITY: Duration = Duration::from_secs(12 * 60 * 60);
const SQS_LONGEST_DELAY: Duration = Duration::from_secs(15 * 60);

/// How long API Gateway waits for a function behind an HTTP API
/// ([quotas](https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html)).
const HTTP_API_PATIENCE: Duration = Duration::from_secs(30);

/// How long it waits for one behind a WebSocket API, how long a silent connection lives, how long
/// any connection lives, and how large a frame and a message may be
/// ([quotas](https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html)).
const WEBSOCKET_PATIENCE: Duration = Duration::from_secs(29);
const WEBSOCKET_IDLE: Duration = Duration::from_secs(10 * 60);
const WEBSOCKET_AGE: Duration = Duration::from_secs(2 * 60 * 60);
const WEBSOCKET_FRAME_BYTES: u64 = 32 * 1024;
const WEBSOCKET_MESSAGE_BYTES: u64 = 128 * 1024;

/// The largest request that Lambda takes, as bytes of an event
/// ([quotas](https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)).
const LAMBDA_REQUEST_BYTES: u64 = 6 * 1024 * 1024;

/// The largest answer that it lets through, as the bytes that the runtime hands over; from the same
/// page.
const LAMBDA_ANSWER_BYTES: u64 = 6 * 1024 * 1024;

/// How long WhatsApp keeps an uploaded file
/// ([media](https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media)).
const WHATSAPP_MEDIA_AGE: Duration = Duration::from_secs(30 * DAY);

const DAY: u64 = 24 * 60 * 60;
const MIB: u64 = 1 << 20;

/// The memory that a function has for itself, its libraries and its other buffers, in MiB: the
/// largest that was seen, twice.
const FUNCTION_MEMORY_MIB: u64 = 128;

/// One side of a bound: its name, and its value in milliseconds, bytes, or pieces.
struct Side(String, u64);

fn time(name: impl Into<String>, value: Duration) -> Side {
    Side(name.into(), value.as_millis().try_into().expect("less than ages"))
}

fn span(name: impl Into<String>, value: TimeDelta) -> Side {
    time(name, value.to_std().expect("no time before now"))
}

fn number(name: impl Into<String>, value: u64) -> Side {
    Side(name.into(), value)
}

impl Side {
    fn and(self, other: Side) -> Side {
        Side(format!("{} + {}", self.0, other.0), self.1 + other.1)
    }

    fn times(self, factor: u64) -> Side {
        Side(format!("{factor} × {}", self.0), self.1 * factor)
    }
}

/// Compares the sides of bounds, and collects those that do not hold.
#[derive(Default)]
struct Bounds(Violations);

impl Bounds {
    fn less(&mut self, this: Side, other: Side, why: &str) {
        self.check(this.1 < other.1, &this, "must be less than", &other, why);
    }

    fn at_most(&mut self, this: Side, other: Side, why: &str) {
        self.check(this.1 <= other.1, &this, "must be at most", &other, why);
    }

    fn equal(&mut self, this: Side, other: Side, why: &str) {
        self.check(this.1 == other.1, &this, "must be", &other, why);
    }

    fn check(&mut self, holds: bool, this: &Side, relation: &str, other: &Side, why: &str) {
        let Side(name, value) = this;
        let Side(other, bound) = other;
        self.0.unless(holds, || format!("{name} ({value}) {relation} {other} ({bound}): {why}"));
    }

    fn report(self) {
        self.0.report();
    }
}

/// The times of a channel's worker.
struct WorkerBounds {
    channel: Channel,
    /// The longest wait for the provider.
    provider: Duration,
    /// The time that an invocation keeps for its last writes.
    reserve: Duration,
}

impl WorkerBounds {
    fn of<P: Provider>() -> WorkerBounds {
        let reserve = <Worker<P> as EventFunction>::RESERVE;
        WorkerBounds { channel: P::CHANNEL, provider: P::TIMEOUT, reserve }
    }

    fn all() -> [WorkerBounds; 3] {
        [WorkerBounds::of::<Widgets>(), WorkerBounds::of::<CloudApi>(), WorkerBounds::of::<Ses>()]
    }

    fn provider(&self) -> Side {
        time(format!("Provider::TIMEOUT of {}", self.channel), self.provider)
    }

    fn reserve(&self) -> Side {
        time("RESERVE of the workers", self.reserve)
    }

    fn function<'a>(&self, template: &'a Template) -> Function<'a> {
        function(template, &pascal_case(&format!("deliver-{}", self.channel)))
    }
}

fn function<'a>(template: &'a Template, id: &str) -> Function<'a> {
    let mut functions = template.functions().into_iter();
    functions.find(|function| function.id == id).unwrap_or_else(|| panic!("no function is {id}"))
}

/// The records that a worker gets at once.
fn batch_size(source: &Value) -> u64 {
    source["BatchSize"].as_u64().unwrap_or(10)
}

fn timeout(function: &Function<'_>) -> Side {
    time(format!("{}.Timeout", function.id), Duration::from_secs(function.timeout()))
}

/// A time of the template, in seconds; `default` if it is left out.
fn seconds(id: &str, properties: &Value, name: &str, default: Duration) -> Side {
    let given = properties[name].as_u64().map(Duration::from_secs);
    time(format!("{id}.{name}"), given.unwrap_or(default))
}

fn lease() -> Side {
    span("platform::delivery::LEASE", LEASE)
}

fn lease_reserve() -> Side {
    time("platform::delivery::LEASE_RESERVE", LEASE_RESERVE)
}

fn answer_reserve() -> Side {
    time("ANSWER_RESERVE", ANSWER_RESERVE)
}

fn operation() -> Side {
    time("platform::aws::OPERATION_TIMEOUT", OPERATION_TIMEOUT)
}

fn sweep_interval() -> Duration {
    let template = Template::read();
    let sweeper = function(&template, "SweepOutbox");
    let events = sweeper.events();
    let schedule = events.iter().find(|(kind, _)| *kind == "Schedule").expect("its schedule").1;
    assert_eq!(schedule["Schedule"], "rate(1 minute)", "say here how long the new interval is");
    Duration::from_secs(60)
}

#[test]
fn a_workers_times_fit_into_each_other() {
    let template = Template::read();
    let mut bounds = Bounds::default();

    for worker in WorkerBounds::all() {
        let function = worker.function(&template);

        bounds.at_most(
            lease().and(lease_reserve().times(2)),
            time("15 s", Duration::from_secs(15)),
            "for so long at most a conversation stands still whose worker died",
        );
        bounds.less(
            lease_reserve().and(time("ATTEMPT_TIMEOUT", ATTEMPT_TIMEOUT)),
            time("RENEW_AT", RENEW_AT),
            "a renewal that is not answered is tried again before the provider's call has to end",
        );
        bounds.at_most(
            time("RENEW_AT", RENEW_AT).times(2),
            lease(),
            "a turn that is over soon does not renew its lease",
        );
        bounds.at_most(
            worker.provider().and(worker.reserve()),
            timeout(&function),
            "what the provider answered at the last moment has to be written down",
        );
        bounds.less(
            operation().and(time("CONTENTION_BUDGET", CONTENTION_BUDGET)).and(answer_reserve()),
            worker.reserve(),
            "one write that fails with all its tries, and the answer to Lambda, fit into the reserve",
        );
        bounds.less(
            time("MIN_MESSAGE_TIME", MIN_MESSAGE_TIME),
            worker.provider(),
            "a message is begun only if the provider has time to answer",
        );

        let wait = worker.channel.receipt_timeout();
        if wait > TimeDelta::zero() {
            bounds.less(
                lease(),
                span(format!("receipt_timeout of {}", worker.channel), wait),
                "a successor comes when the lease is over, and then still waits for a receipt",
            );
        }
    }

    bounds.report();
}

#[test]
fn providers_answer_within_the_workers_wait() {
    let chat = WorkerBounds::of::<Widgets>();
    let email = WorkerBounds::of::<Ses>();
    let whatsapp = WorkerBounds::of::<CloudApi>();
    let reserve = time("cloud_api::MESSAGE_RESERVE", MESSAGE_RESERVE);
    let message = time("cloud_api::MESSAGE_TIMEOUT", MESSAGE_TIMEOUT);
    let mut bounds = Bounds::default();

    bounds.less(
        time("sockets::POST_TIMEOUT", POST_TIMEOUT),
        chat.provider(),
        "the tabs are read before, and a slow tab is an answer about that tab",
    );
    bounds.equal(
        time("ses::SES_TIMEOUT", SES_TIMEOUT),
        email.provider(),
        "SES has as long as the worker waits: shorter, accepted mails are in doubt for nothing",
    );
    bounds.less(message, whatsapp.provider(), "an upload comes before the message");
    let largest = Duration::from_millis(domain::file::MAX_FILE_BYTES * 1_000 / UPLOAD_RATE);
    bounds.at_most(
        time("the largest file at UPLOAD_RATE", largest)
            .and(time("cloud_api::MESSAGE_RESERVE", MESSAGE_RESERVE))
            .and(time("a claim, a read and a mark", Duration::from_secs(2))),
        whatsapp.provider(),
        "an invocation that has done nothing else begins it, or none ever does",
    );
    bounds.less(
        time("authorized::CONNECT_TIMEOUT", WHATSAPP_CONNECT_TIMEOUT),
        reserve,
        "after a slow upload the message still has time to connect and to be answered",
    );
    bounds.at_most(
        time("cloud_api::MESSAGE_RESERVE", MESSAGE_RESERVE),
        time("cloud_api::MESSAGE_TIMEOUT", MESSAGE_TIMEOUT),
        "more is kept for the message than it may take",
    );
    bounds.less(
        time("media::MEDIA_ID_TTL", MEDIA_ID_TTL),
        time("WhatsApp's 30 days", WHATSAPP_MEDIA_AGE),
        "an id that WhatsApp has forgotten makes the message fail",
    );
    bounds.at_most(
        span("MAX_AGE", MAX_AGE),
        time("media::MEDIA_ID_TTL", MEDIA_ID_TTL),
        "a file is uploaded once, not for each attempt",
    );

    bounds.report();
}

#[test]
fn queues_fit_their_workers() {
    let template = Template::read();
    let mut bounds = Bounds::default();

    for worker in WorkerBounds::all() {
        let function = worker.function(&template);
        let events = function.events();
        let source = events.iter().find(|(kind, _)| *kind == "SQS").expect("its queue").1;
        let id = reference(&source["Queue"]).expect("the queue's name");
        let queue = template.properties(id, "AWS::SQS::Queue");
        let redrive = &queue["RedrivePolicy"];
        let receives = redrive["maxReceiveCount"].as_u64().unwrap_or_default();
        let dead_letters = reference(&redrive["deadLetterTargetArn"]).unwrap_or_default();
        let kept = template.properties(dead_letters, "AWS::SQS::Queue");
        let visibility = || seconds(id, queue, "VisibilityTimeout", Duration::from_secs(30));
        let window = || {
            let name = "MaximumBatchingWindowInSeconds";
            seconds(function.id, source, name, Duration::ZERO)
        };
        let retention = || seconds(id, queue, "MessageRetentionPeriod", SQS_DEFAULT_RETENTION);

        bounds.equal(
            visibility(),
            timeout(&function).times(6).and(window()),
            "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html asks for that",
        );
        bounds.equal(
            time("platform::delivery::RING_AGAIN_AFTER", RING_AGAIN_AFTER),
            visibility(),
            "a doorbell that was not answered rings again as if its worker had left its time alone",
        );
        bounds.at_most(
            number(format!("{}.BatchSize", function.id), batch_size(source)),
            number("MAX_CONCURRENT_RECORDS", MAX_CONCURRENT_RECORDS as u64),
            "all records of a batch are answered at once; the others would wait for the first",
        );
        bounds.equal(window(), number("0", 0), "a customer would wait for it");
        bounds.at_most(
            visibility().times(receives),
            time("one hour", Duration::from_secs(60 * 60)),
            "a doorbell that no worker can answer is a dead letter, and an alarm, within the hour",
        );
        bounds.less(
            time("queue::MAX_DELAY_SECONDS", Duration::from_secs(MAX_DELAY_SECONDS as u64))
                .and(visibility().times(receives)),
            retention(),
            "a doorbell that SQS forgets first never becomes a dead letter",
        );
        bounds.less(
            retention(),
            seconds(dead_letters, kept, "MessageRetentionPeriod", SQS_DEFAULT_RETENTION),
            "a dead letter's age counts from when it first was sent",
        );
        bounds.less(
            time("queue::HIDDEN_MINUTES", Duration::from_secs(HIDDEN_MINUTES as u64 * 60)),
            seconds(dead_letters, kept, "MessageRetentionPeriod", SQS_DEFAULT_RETENTION),
            "letters of a reader that died come back before they are forgotten",
        );
    }

    for (id, queue) in template.dead_letter_queues() {
        bounds.equal(
            seconds(id, queue, "MessageRetentionPeriod", SQS_DEFAULT_RETENTION),
            time("SQS's longest retention", SQS_LONGEST_RETENTION),
            "what waits there for a person is kept for as long as SQS can",
        );
    }

    bounds.report();
}

#[test]
fn waits_fit_the_doorbells_that_end_them() {
    let delay = || time("queue::MAX_DELAY_SECONDS", Duration::from_secs(MAX_DELAY_SECONDS as u64));
    let mut bounds = Bounds::default();

    bounds.equal(
        delay(),
        time("SQS's longest delay", SQS_LONGEST_DELAY),
        "with a longer one SQS refuses the doorbell, with a shorter one it rings for nothing",
    );
    bounds.at_most(span("MAX_BACKOFF", MAX_BACKOFF), delay(), "the doorbell rings for the attempt");
    bounds.at_most(
        span("AWAY_RETRY_INTERVAL", AWAY_RETRY_INTERVAL),
        delay(),
        "the doorbell rings for the attempt",
    );
    bounds.less(
        span("PAUSE_CHECK_INTERVAL", PAUSE_CHECK_INTERVAL)
            .and(span("RESUME_SPREAD", RESUME_SPREAD))
            .and(time("CHANNEL_TTL", CHANNEL_TTL)),
        time("5 minutes and a second", Duration::from_secs(5 * 60 + 1)),
        "an operator is told that an early end of a pause takes effect within five minutes",
    );
    bounds.at_most(
        time("CHANNEL_TTL", CHANNEL_TTL),
        span("RESUME_SPREAD", RESUME_SPREAD),
        "the first worker's verdict on a paused channel has reached the others by then",
    );
    bounds.at_most(
        time("HIDDEN_MINUTES", Duration::from_secs(HIDDEN_MINUTES as u64 * 60)),
        time("SQS's longest visibility time-out", SQS_LONGEST_VISIBILITY),
        "SQS refuses a longer one",
    );
    bounds.less(
        time("LONG_POLL_SECONDS", Duration::from_secs(LONG_POLL_SECONDS as u64)),
        time("queue::OPERATOR_TIMEOUT", OPERATOR_TIMEOUT),
        "a poll that finds nothing is an answer and no failure",
    );

    bounds.report();
}

#[test]
fn requests_are_answered_before_their_callers_give_up() {
    let template = Template::read();
    let mut bounds = Bounds::default();

    for folder in Document::read().functions() {
        let function = function(&template, &pascal_case(&folder));
        bounds.less(
            timeout(&function),
            time("API Gateway's 30 s", HTTP_API_PATIENCE),
            "API Gateway would answer 503 while the function still works",
        );
        bounds.less(
            operation().and(answer_reserve()),
            timeout(&function),
            "a call to AWS that fails with all its tries is answered with our own problem",
        );
    }

    let socket = function(&template, "ChatSocket");
    let reserve = || time("ChatSocket::RESERVE", ChatSocket::RESERVE);
    bounds.less(
        timeout(&socket),
        time("API Gateway's 29 s", WEBSOCKET_PATIENCE),
        "API Gateway would report a time-out while the function still works",
    );
    bounds.at_most(
        operation().and(answer_reserve()),
        reserve(),
        "the last call that is begun in time ends in time",
    );
    bounds.at_most(
        time("POST_TIMEOUT", POST_TIMEOUT).and(answer_reserve()),
        reserve(),
        "the last event that is begun in time ends in time",
    );
    bounds.less(reserve().times(3), timeout(&socket).times(2), "a third of its time is for work");

    let send = function(&template, "SendMessage");
    bounds.less(
        time("ACCEPT_DEADLINE", ACCEPT_DEADLINE)
            .and(time("SQS_TIMEOUT", SQS_TIMEOUT))
            .and(answer_reserve()),
        timeout(&send),
        "a message that was accepted at the last moment is answered 201, also without a doorbell",
    );
    bounds.at_most(
        time("ACCEPT_LAST_TRY", ACCEPT_LAST_TRY).and(time("ATTEMPT_TIMEOUT", ATTEMPT_TIMEOUT)),
        time("ACCEPT_DEADLINE", ACCEPT_DEADLINE),
        "the last try has time to be answered",
    );
    bounds.less(
        time("CONTENTION_BUDGET", CONTENTION_BUDGET),
        time("ACCEPT_LAST_TRY", ACCEPT_LAST_TRY),
        "contention is answered 503 before the tries end for other reasons",
    );
    bounds.less(
        time("aws::CONNECT_TIMEOUT", CONNECT_TIMEOUT),
        time("aws::ATTEMPT_TIMEOUT", ATTEMPT_TIMEOUT),
        "connecting is part of an attempt",
    );
    bounds.less(
        time("aws::ATTEMPT_TIMEOUT", ATTEMPT_TIMEOUT).times(2),
        operation(),
        "an attempt that hangs can be repeated",
    );
    bounds.less(
        time("SQS_TIMEOUT", SQS_TIMEOUT),
        time("aws::ATTEMPT_TIMEOUT", ATTEMPT_TIMEOUT),
        "an agent waits for the doorbell, which may be lost",
    );

    bounds.report();
}

#[test]
fn a_sweep_is_over_before_the_next_begins() {
    let template = Template::read();
    let sweeper = function(&template, "SweepOutbox");
    let interval = || time("the sweeper's schedule", sweep_interval());
    let mut bounds = Bounds::default();

    bounds.less(timeout(&sweeper), interval(), "two sweeps at once ring each doorbell twice");
    bounds.at_most(
        operation().and(time("SQS_TIMEOUT", SQS_TIMEOUT)).and(answer_reserve()),
        time("SweepOutbox::RESERVE", SweepOutbox::RESERVE),
        "the last page that is begun in time is read and rung for in time",
    );
    bounds.less(
        time("SweepOutbox::RESERVE", SweepOutbox::RESERVE).times(4),
        timeout(&sweeper),
        "most of its time is for sweeping",
    );

    let gone = template.properties("SweeperIsGone", "AWS::CloudWatch::Alarm");
    bounds.at_most(
        interval().times(5),
        watched(gone),
        "a late or failed sweep or two are repaired by the next",
    );
    bounds.at_most(
        watched(gone),
        time("15 minutes", Duration::from_secs(15 * 60)),
        "lost doorbells wait for the sweeper",
    );

    for channel in Channel::ALL {
        let id = format!("{}StandsStill", pascal_case(channel.name()));
        let alarm = template.properties(&id, "AWS::CloudWatch::Alarm");
        let oldest = time(
            format!("{id}.Threshold"),
            Duration::from_secs(alarm["Threshold"].as_u64().unwrap_or_default()),
        );
        bounds.less(
            lease().and(interval().times(2)),
            oldest,
            "a dead worker's conversations wait for the lease and a sweep, which is no alarm",
        );
    }

    bounds.report();
}

/// The time that an alarm looks back on.
fn watched(alarm: &Value) -> Side {
    let number = |name: &str| alarm[name].as_u64().unwrap_or_default();
    let seconds = number("Period") * number("EvaluationPeriods");
    time("Period × EvaluationPeriods of the alarm", Duration::from_secs(seconds))
}

#[test]
fn a_paused_channel_is_heard_of_as_long_as_it_is_paused() {
    let template = Template::read();
    let mut bounds = Bounds::default();

    // The pauses stand in the tables of the providers' errors.
    let tables: String = files("functions/domain/src/channel").into_iter().map(read).collect();
    let pauses = tables.split("ChannelWide(").skip(1);
    let pauses = pauses.filter_map(|rest| rest.split(')').next()?.parse::<u64>().ok());
    let longest = Duration::from_secs(pauses.max().expect("some errors pause a channel"));

    for (id, alarm) in template.all("AWS::CloudWatch::Alarm") {
        if alarm["MetricName"] == "ChannelPaused" {
            bounds.less(
                time("the longest ChannelWide pause", longest),
                watched(alarm),
                &format!("{id} would end between two tries of a channel that is still paused"),
            );
        }
    }
    bounds.report();
}

#[test]
fn files_outlive_what_may_reference_them() {
    let template = Template::read();
    let bucket = template.properties("Files", "AWS::S3::Bucket");
    let days = |name: &str, days: u32| time(name, Duration::from_secs(u64::from(days) * DAY));
    let mut bounds = Bounds::default();

    for (tag, wanted) in [("pending", UNREFERENCED_DAYS), ("referenced", REFERENCED_DAYS)] {
        let rules = bucket["LifecycleConfiguration"]["Rules"].as_sequence();
        let of_tag = |rule: &&Value| {
            rule["TagFilters"][0]["Key"] == "state" && rule["TagFilters"][0]["Value"] == tag
        };
        let rule = rules.into_iter().flatten().find(of_tag);
        let enabled = rule.filter(|rule| rule["Status"] == "Enabled");
        let given = enabled.and_then(|rule| rule["ExpirationInDays"].as_u64()).unwrap_or_default();
        bounds.equal(
            number(format!("days after which Files deletes state={tag}"), given),
            number("domain::file", wanted.into()),
            "links and records say for how long a file is there",
        );
    }

    bounds.less(
        span("UPLOAD_TTL", UPLOAD_TTL).and(time("UPLOAD_URL_TTL", UPLOAD_URL_TTL)),
        days("UNREFERENCED_DAYS", UNREFERENCED_DAYS),
        "no file is deleted while a message may still reference it",
    );
    bounds.less(
        time("UPLOAD_URL_TTL", UPLOAD_URL_TTL),
        span("UPLOAD_TTL", UPLOAD_TTL),
        "what arrives at the last moment can still be referenced",
    );
    bounds.less(
        span("MAX_AGE", MAX_AGE),
        span("REFERENCE_MARGIN", REFERENCE_MARGIN),
        "a file that is referenced at the last moment is there for each attempt",
    );
    bounds.less(
        span("REFERENCE_MARGIN", REFERENCE_MARGIN),
        days("REFERENCED_DAYS", REFERENCED_DAYS),
        "a file can be referenced for some time",
    );
    bounds.less(
        time("DOWNLOAD_URL_TTL", DOWNLOAD_URL_TTL),
        time("UPLOAD_URL_TTL", UPLOAD_URL_TTL),
        "the address behind a file's link is for one reader, at once",
    );

    bounds.report();
}

#[test]
fn credentials_and_connections_end_when_they_should() {
    let mut bounds = Bounds::default();
    bounds.less(
        time("MIN_REFRESH_INTERVAL", MIN_REFRESH_INTERVAL),
        time("SECRET_TTL", SECRET_TTL),
        "a rotated secret is found before the old one's time is over",
    );
    bounds.less(
        time("SECRET_TTL", SECRET_TTL),
        span("SIGNING_DELAY", SIGNING_DELAY),
        "every function knows a key before it meets a tag of it",
    );
    bounds.at_most(
        time("SECRET_TTL", SECRET_TTL),
        time("5 minutes", Duration::from_secs(5 * 60)),
        "infra/OPERATIONS.md says how long an old key works on",
    );
    bounds.equal(
        span("MAX_CONNECTION_AGE", MAX_CONNECTION_AGE),
        time("API Gateway's 2 hours", WEBSOCKET_AGE),
        "a record that ends before its connection takes a widget off the list",
    );
    bounds.less(
        span("the longest visitor's token", visitor::LONGEST),
        span("MAX_CONNECTION_AGE", MAX_CONNECTION_AGE),
        "a token opens a connection, it is no session",
    );
    bounds.at_most(
        number("MAX_EVENT_BYTES", MAX_EVENT_BYTES as u64),
        number("API Gateway's 128 KB", WEBSOCKET_MESSAGE_BYTES),
        "API Gateway refuses a larger event",
    );
    bounds.report();
}

#[test]
fn the_widget_lets_a_visitor_write_as_much_as_the_server_takes() {
    let composer = read("functions/chat-socket/widget/src/composer.js");
    let written = composer.split("const MAX_CHARACTERS = ").nth(1).expect("MAX_CHARACTERS");
    let digits = written.split(';').next().unwrap_or_default().replace('_', "");
    let mut bounds = Bounds::default();
    bounds.equal(
        number("composer.js MAX_CHARACTERS", digits.parse().expect("a number")),
        number("MAX_MESSAGE_CHARACTERS", MAX_MESSAGE_CHARACTERS as u64),
        "a text that the server refuses comes back",
    );
    // At four bytes each, beside the frame's other members.
    bounds.less(
        number("MAX_MESSAGE_CHARACTERS", MAX_MESSAGE_CHARACTERS as u64 * 4 + 512),
        number("API Gateway's 32 KB", WEBSOCKET_FRAME_BYTES),
        "a browser sends a message in one frame",
    );
    bounds.report();
}

#[test]
fn the_widget_knows_the_servers_times() {
    let widget = read("functions/chat-socket/widget/src/connection.js");
    let constant = |name: &str| {
        let rest = widget.split(&format!("const {name} = ")).nth(1).expect(name);
        let factors = rest.split(';').next().unwrap_or_default().split('*');
        let factors = factors.map(|text| text.trim().replace('_', "").parse::<u64>().expect(name));
        time(format!("connection.js {name}"), Duration::from_millis(factors.product()))
    };
    let template = Template::read();
    let mut bounds = Bounds::default();

    bounds.less(
        constant("MAX_SILENCE_MS").times(2),
        time("API Gateway's 10 minutes", WEBSOCKET_IDLE),
        "API Gateway ends a silent connection, also if one question is lost",
    );
    bounds.equal(
        constant("ANSWER_TIMEOUT_MS"),
        timeout(&function(&template, "ChatSocket")),
        "an answer that takes longer than the function may does not come any more",
    );
    bounds.less(
        constant("MAX_RETRY_WAIT_MS"),
        constant("MAX_SILENCE_MS"),
        "a customer who is back online is connected soon",
    );
    bounds.report();
}

#[test]
fn functions_have_the_memory_for_what_they_hold() {
    let template = Template::read();
    let memory = |id: &str| {
        let own = function(&template, id).properties["MemorySize"].as_u64();
        let common = &template.section("Globals")["Function"]["MemorySize"];
        let mib = own.or(common.as_u64()).unwrap_or(128);
        number(format!("{id}.MemorySize"), mib * MIB)
    };
    let own = || number("a function's own", FUNCTION_MEMORY_MIB * MIB);
    let mut bounds = Bounds::default();

    bounds.at_most(
        number("media::MAX_MEMORY_MIB", u64::from(MAX_MEMORY_MIB) * MIB).times(2).and(own()),
        memory("DeliverWhatsapp"),
        "reading a file doubles it for a moment",
    );

    let events = function(&template, "DeliverEmail");
    let events = events.events();
    let source = events.iter().find(|(kind, _)| *kind == "SQS").expect("its queue").1;
    // A mail's files are held as bytes, in base64 in the mail, and in base64 in the call to SES.
    let mail = MAX_INLINE_BYTES + MAX_INLINE_BYTES * 4 / 3 + MAX_INLINE_BYTES * 16 / 9;
    bounds.at_most(
        number("a mail", mail).times(batch_size(source)).and(own()),
        memory("DeliverEmail"),
        "so many mails are made at once",
    );
    // A form is held as the event, decoded, and as the object that is stored.
    bounds.at_most(
        number("a form", LAMBDA_REQUEST_BYTES).times(3).and(own()),
        memory("Attachments"),
        "a form is held several times over",
    );
    bounds.at_most(
        number("a form in base64", (MAX_FORM_FILE_BYTES + FORM_OVERHEAD_BYTES) * 4 / 3),
        number("Lambda's 6 MB", LAMBDA_REQUEST_BYTES),
        "Lambda refuses a larger event, and the caller gets API Gateway's answer for ours",
    );
    bounds.at_most(
        number("MAX_PAGE_BYTES", MAX_PAGE_BYTES as u64).and(number("status and headers", MIB)),
        number("Lambda's 6 MB", LAMBDA_ANSWER_BYTES),
        "Lambda refuses a larger answer, and the caller gets a 500",
    );
    bounds.report();
}

/// The contract's sentences about times and sizes, each with the constant that makes it true.
#[test]
fn the_contract_says_the_times_of_the_code() {
    let contract = Document::read();
    let text = contract.prose();
    let mut violations = Violations::default();

    for (sentence, holds) in [
        ("Keys are kept for at least 24 hours", IDEMPOTENCY_TTL == TimeDelta::hours(24)),
        ("within 24 hours", UPLOAD_TTL == TimeDelta::hours(24)),
        ("dropped after 24 hours", UPLOAD_TTL == TimeDelta::hours(24)),
        ("kept for a year from its upload", REFERENCED_DAYS == 365),
        ("first eleven months", i64::from(REFERENCED_DAYS) - REFERENCE_MARGIN.num_days() == 335),
        ("good for five minutes", DOWNLOAD_URL_TTL == Duration::from_secs(5 * 60)),
        ("next five minutes", DOWNLOAD_URL_TTL == Duration::from_secs(5 * 60)),
        ("good for an hour at most", visitor::LONGEST == TimeDelta::hours(1)),
        ("up to 4 MiB as `multipart/form-data`", MAX_FORM_FILE_BYTES == 4 * MIB),
        ("At most 4 MiB, not empty", MAX_FORM_FILE_BYTES == 4 * MIB),
        ("in it, over 4 MiB", MAX_FORM_FILE_BYTES == 4 * MIB),
        ("up to 100 MiB", domain::file::MAX_FILE_BYTES == 100 * MIB),
        ("At most 256 KiB", domain::problem::MAX_BODY_BYTES == 256 * 1024),
        ("The body is over 256 KiB", domain::problem::MAX_BODY_BYTES == 256 * 1024),
        ("A form of at most 4 MiB and 64 KiB", FORM_OVERHEAD_BYTES == 64 * 1024),
        ("fit into its 128 KB", MAX_EVENT_BYTES == 128 * 1024),
        ("cut to 255 bytes", domain::file::MAX_NAME_BYTES == 255),
        ("its messages are long: at 4 MiB", MAX_PAGE_BYTES as u64 == 4 * MIB),
        ("The first 100 faults", MAX_LISTED_ERRORS == 100),
        ("cut behind 256 characters", MAX_ECHO_CHARACTERS == 256),
    ] {
        violations.unless(text.contains(sentence), || {
            format!("infra/openapi.yaml no longer says \"{sentence}\"; change this list with it")
        });
        violations.unless(!text.contains(sentence) || holds, || {
            format!("infra/openapi.yaml says \"{sentence}\", and the code has another limit")
        });
    }
    violations.report();
}
