//! The HTTP side: connections, limits, and what is not for [`airc_core`] to decide.

mod answer;
mod client;
mod patience;
mod rates;
