//! The agents that do the work, one token after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aire_mio::{Agent, Failure, Operation};
use aire_proto::accounting::{self, Accounting};
use aire_proto::budget::Charge;

use crate::story::{Story, say};

pub(crate) struct Worker {
    name: &'static str,
    /// How many tokens its work takes, and how long each.
    tokens: u64,
    pace: Duration,
    breaks: bool,
    story: Arc<Story>,
}

impl Worker {
    pub(crate) fn new(name: &'static str, tokens: u64, millis: u64, story: &Arc<Story>) -> Self {
        Self {
            name,
            tokens,
            pace: Duration::from_millis(millis),
            breaks: false,
            story: story.clone(),
        }
    }

    /// It breaks when its tokens are spent.
    pub(crate) fn breaks(self) -> Self {
        Self {
            breaks: true,
            ..self
        }
    }

    fn work(&self, operation: &mut Operation) -> Result<(), Failure> {
        let endless = operation.operation() == "forever";
        let tokens = if endless { u64::MAX } else { self.tokens };
        for n in 1..=tokens {
            self.pay(operation)?;
            operation.send(format!("{} {n}", self.name))?;
            operation.sleep(self.pace)?;
        }
        if self.breaks {
            return Err(Failure::application("out of paper"));
        }
        Ok(())
    }

    /// Spends a token. Without one it waits for more: its delegator is told, and grants what it
    /// has.
    fn pay(&self, operation: &mut Operation) -> Result<(), Failure> {
        let token = Charge::tokens(1);
        if let Err(refused) = operation.try_charge(&token) {
            say(self.name, "->", "BUDGET", &format!("{refused}"));
            operation.charge(&token)?;
            // With the one that was spent just now.
            let more = operation.ledger().free().tokens.unwrap_or_default() + 1;
            say(self.name, "<-", "BUDGET", &format!("{more} tokens more"));
        }
        self.story.spend();
        Ok(())
    }
}

impl Agent for Worker {
    fn handle(&self, operation: &mut Operation) -> Result<(), Failure> {
        let began = Instant::now();
        operation.set_budget_patience(Duration::from_secs(5));
        let share = await_budget(operation)?;
        say(self.name, "<-", "BUDGET", &format!("{share} tokens"));
        let done = self.work(operation);

        // The accounting, in the last STREAM or in the ERROR, tells the delegator what was spent:
        // the rest of the share returns to it. Without one all of it would count as spent.
        let accounting = operation.accounting(0, began.elapsed());
        let spent = accounting.spent().tokens;
        let rest = operation.ledger().free().tokens.unwrap_or_default();
        let told = format!("{spent} spent, {rest} go back");
        match done {
            Ok(()) => {
                say(self.name, "->", "FIN", &told);
                operation.send(encoded(&accounting))
            }
            Err(Failure::Failed { code, detail, .. }) => {
                say(self.name, "->", "ERROR", &format!("{code}, {told}"));
                Err(Failure::Failed {
                    code,
                    detail,
                    data: encoded(&accounting),
                })
            }
            Err(Failure::Cancelled { reason, detail }) => {
                say(self.name, "<-", "CANCEL", &format!("{reason}"));
                self.story.cancel(reason);
                Err(Failure::Cancelled { reason, detail })
            }
            Err(other) => Err(other),
        }
    }
}

/// The budget comes right behind the INVOKE. Who counts on one does nothing before it is there:
/// until then there is no limit. How many tokens it allows.
pub(crate) fn await_budget(operation: &mut Operation) -> Result<u64, Failure> {
    loop {
        if let Some(tokens) = operation.ledger().free().tokens {
            return Ok(tokens);
        }
        if operation.recv_frame()?.is_none() {
            return Err(Failure::application("no work without a budget"));
        }
    }
}

/// An accounting as a payload.
pub(crate) fn encoded(accounting: &Accounting) -> Vec<u8> {
    let mut room = [0; accounting::MAX_LEN];
    // So much room always does.
    accounting
        .encode(&mut room)
        .map(|bytes| bytes.to_vec())
        .unwrap_or_default()
}
