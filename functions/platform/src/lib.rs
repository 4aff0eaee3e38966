//! The one door to AWS: the table, the queues, settings, telemetry, and the delivery worker.
