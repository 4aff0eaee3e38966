//! Event sources, which invoke functions by themselves: queues, streams, clocks and the event
//! bus.

mod asynchronous;
mod event_bus;
mod fair_buffer;
mod polling;
mod queue;
mod queue_event;
mod schedule;
mod stream;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::aws::{self, Aws};
use crate::lambda::Lambda;
use crate::template::{Function, Stack};

pub(crate) use asynchronous::invoke as invoke_asynchronously;
pub use event_bus::Event;
pub(crate) use event_bus::publish;
pub use polling::{Polling, QueueCounts, QueueFaults, QueueFaultsError};
pub(crate) use schedule::scheduled_event;

/// Every poller and every clock; dropping it stops them.
pub(crate) struct EventSources {
    tasks: JoinSet<()>,
    begun: Instant,
    /// The periods of the schedules.
    periods: Vec<Duration>,
    /// How far each stream was processed.
    streams: Vec<stream::Progress>,
}

impl EventSources {
    /// Starts polling and ticking.
    pub(crate) fn start(stack: &Stack, aws: &Aws, lambda: &Arc<Lambda>, polling: &Polling) -> Self {
        let mut tasks = JoinSet::new();
        let mut periods = Vec::new();
        let mut streams = Vec::new();

        for function in &stack.functions {
            start_pollers(&mut tasks, stack, function, aws, lambda, polling);
            for source in &function.streams {
                let letters = source.on_failure.as_ref();
                let poller = stream::Poller {
                    function: function.logical_id.clone(),
                    source: source.clone(),
                    table: aws.made.table.clone(),
                    streams: aws.streams.clone(),
                    lambda: Arc::clone(lambda),
                    polling: polling.clone(),
                    sqs: aws.queues.clone(),
                    letters: letters.and_then(|id| aws.made.queue_urls.get(id)).cloned(),
                    progress: stream::Progress::default(),
                    processed: aws.stream_processed.clone(),
                };

                streams.push(poller.progress.clone());
                tasks.spawn(Arc::new(poller).poll());
            }

            for schedule in &function.schedules {
                periods.push(schedule.every);
                let rule = format!("{}-{}{}", stack.name, function.logical_id, schedule.name);
                tasks.spawn(schedule::tick(
                    schedule.clone(),
                    rule,
                    Arc::new(function.clone()),
                    Arc::clone(lambda),
                ));
            }
        }

        Self { tasks, begun: Instant::now(), periods, streams }
    }

    /// Stops polling and ticking; invocations that have begun go on.
    pub(crate) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }

    /// Returns whether a stream may have records that are not processed yet: also before it was
    /// read first, and while DynamoDB does not answer.
    pub(crate) async fn are_streams_behind(&self, aws: &Aws) -> bool {
        for stream in &self.streams {
            let places = stream.places();
            if places.is_empty() {
                return true;
            }

            for place in places {
                let found = aws.streams.records(&place, 1).await;
                if found.is_none_or(|found| !found.records.is_empty()) {
                    return true;
                }
            }
        }

        false
    }

    /// Returns how long it is until a schedule invokes its function again.
    pub(crate) fn next_schedule_in(&self) -> Option<Duration> {
        let elapsed = self.begun.elapsed();
        let wait = |period: &Duration| {
            let periods = elapsed.as_millis() / period.as_millis().max(1) + 1;
            let next = period.saturating_mul(u32::try_from(periods).unwrap_or(u32::MAX));
            next.saturating_sub(elapsed)
        };

        self.periods.iter().map(wait).min()
    }
}

fn start_pollers(
    tasks: &mut JoinSet<()>,
    stack: &Stack,
    function: &Function,
    aws: &Aws,
    lambda: &Arc<Lambda>,
    polling: &Polling,
) {
    for source in &function.queues {
        let declared = stack.queues.iter().find(|queue| queue.logical_id == source.queue);
        let url = aws.made.queue_urls.get(&source.queue);
        let (Some(queue), Some(url)) = (declared, url) else { continue };
        let poller = Arc::new(queue::Poller {
            function: function.logical_id.clone(),
            may_loop: function.may_loop,
            source: source.clone(),
            url: url.clone(),
            arn: aws::queue_arn(queue),
            visibility: queue.visibility_timeout(),
            sqs: aws.queues.clone(),
            lambda: Arc::clone(lambda),
            polling: polling.clone(),
            buffer: fair_buffer::FairBuffer::new(polling.clone(), !queue.is_fifo()),
        });

        tasks.spawn(Arc::clone(&poller).fetch());
        for _ in 0..queue::concurrency(source) {
            tasks.spawn(Arc::clone(&poller).poll());
        }
    }
}
