//! A seed decides everything: the same case run twice, in two systems, comes to the same, call by
//! call.

use crate::case::Case;
use crate::deliver::{self, function};
use crate::fault::Fault;
use crate::point::{PROVIDER, Point};
use crate::stage::Stage;
use crate::{send, sweep};

pub(crate) async fn a_seed_replays_exactly() {
    let settle = crate::point::SETTLE;
    let accept = Point { name: "accept", operation: "TransactWriteItems", marker: "seq = :last" };
    let ring_all = crate::point::RING_ALL;
    let one = Stage::start().await;
    let other = Stage::start().await;

    for seed in 0..4 {
        for (point, fault) in
            [(settle, Fault::DiesBefore), (settle, Fault::Garbage), (PROVIDER, Fault::AnswerLost)]
        {
            let case = Case { function: function("email"), work: "delivered", point, fault, seed };
            let run =
                async |stage| deliver::run(stage, "email", deliver::Work::Delivered, &case).await;
            assert_eq!(run(&one).await, run(&other).await, "{}", case.again());
        }
        let case = Case {
            function: "send-message",
            work: "sent",
            point: accept,
            fault: Fault::DiesAfter,
            seed,
        };
        let run = async |stage| send::run(stage, send::Work::Sent, &case).await;
        assert_eq!(run(&one).await, run(&other).await, "{}", case.again());
        let case = Case {
            function: "sweep-outbox",
            work: "due",
            point: ring_all,
            fault: Fault::AnswerLost,
            seed,
        };
        let run = async |stage| sweep::run(stage, &case).await;
        assert_eq!(run(&one).await, run(&other).await, "{}", case.again());
    }
}
