//! The agent that hands its work on, and its budget with it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aire_mio::{Agent, Branch, Client, Failure, OnFailure, Operation};
use aire_proto::budget::Charge;
use aire_proto::delegation::Share;

use crate::story::{Story, say};
use crate::worker::{await_budget, encoded};

const NAME: &str = "coordinator";

pub(crate) struct Coordinator {
    first: Client,
    second: Client,
    story: Arc<Story>,
}

impl Coordinator {
    pub(crate) fn new(first: Client, second: Client, story: &Arc<Story>) -> Self {
        let story = story.clone();
        Self {
            first,
            second,
            story,
        }
    }

    /// Three branches with three, three and four tenths of the budget.
    fn branches<'a>(&'a self, operation: &'a str, budget: u64) -> Vec<Branch<'a>> {
        let plan = [
            (&self.first, "quick", 3),
            (&self.first, "slow", 4),
            (&self.second, "broken", 3),
        ];
        let branch = |(to, agent, tenths)| {
            let tokens = budget / 10 * tenths;
            say(
                NAME,
                "->",
                "INVOKE",
                &format!("{agent}, with {tokens} tokens"),
            );
            Branch {
                to,
                agent,
                operation,
                args: Vec::new(),
                share: Share::Amount(Charge::tokens(tokens)),
            }
        };
        plan.map(branch).into()
    }
}

impl Agent for Coordinator {
    fn handle(&self, operation: &mut Operation) -> Result<(), Failure> {
        let began = Instant::now();
        // When the workers and the coordinator have nothing left, the caller may add to it.
        operation.set_budget_patience(Duration::from_secs(5));
        let budget = await_budget(operation)?;
        say(
            NAME,
            "<-",
            "BUDGET",
            &format!("{budget} tokens to share out"),
        );

        let asked = operation.operation().to_owned();
        let branches = self.branches(&asked, budget);
        // Sends the caller what comes, from whomever it comes. A cancel ends it with an error here,
        // and reaches the workers by itself.
        let ends = operation.fan_out(branches, OnFailure::GoOn)?;
        for (worker, end) in ["quick", "slow", "broken"].into_iter().zip(&ends) {
            let end = match end {
                Ok(()) => "complete".to_owned(),
                Err(failure) => failure.to_string(),
            };
            say(NAME, "--", "END", &format!("{worker}: {end}"));
        }
        self.story.ended(ends);

        let ledger = operation.ledger();
        let (spent, out) = (ledger.spent().tokens, ledger.committed().tokens);
        let left = ledger.free().tokens.unwrap_or_default();
        let told = format!("{spent} tokens spent, {out} with workers, {left} left");
        say(NAME, "--", "LEDGER", &told);
        let accounting = operation.accounting(0, began.elapsed());
        operation.send(encoded(&accounting))
    }
}
