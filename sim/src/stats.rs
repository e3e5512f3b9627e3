//! How much of everything there was: so that a reader sees that the mix is really exercised.

use std::fmt;

macro_rules! stats {
    ($($field:ident $label:literal,)*) => {
        /// Counts, of one seed or of many.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Stats {
            $(#[doc = $label] pub $field: u64,)*
        }

        impl Stats {
            /// Adds another's counts.
            pub fn add(&mut self, other: &Self) {
                $(self.$field += other.$field;)*
            }
        }

        impl fmt::Display for Stats {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(writeln!(f, "{:>14}  {}", self.$field, $label)?;)*
                Ok(())
            }
        }
    };
}

stats! {
    seeds "seeds",
    steps "steps",
    millis "virtual milliseconds",
    packets "packets",
    dropped "packets lost or cut off",
    doubled "packets doubled",
    connections "connections",
    refused_hellos "HELLOs refused",
    lost "connection ends lost",
    drains "drains",
    crashes "crashes",
    cuts "cuts",
    operations "operations begun",
    completed "operations completed",
    failed "operations failed or lost",
    frames "STREAM frames received",
    cancels "cancels asked for",
    cancelled "cancels heard",
    late_cancels "cancels heard late",
    budgets "budgets heard",
    exhausted "times out of budget",
    top_ups "top-ups and reductions by roots",
    grants "grants to children",
    overtime "operations ended at their deadline",
    delegations "delegations",
    resumes "resumes tried",
    resumed "resumes answered",
    refused_resumes "resumes refused",
    restored "operations gone on with after a restart",
    probes "tokens tried that must not work",
    no_room "operations refused for want of room",
}
