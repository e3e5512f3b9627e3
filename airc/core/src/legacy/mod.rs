//! stub
use crate::PublicKey;
use crate::error::Refusal;
use crate::registry::proof::Proof;
use crate::registry::target::Target;
use crate::registry::work::{Outcome, Work};
use crate::registry::{Request, Response, Settings};

#[derive(Clone, Debug)]
pub(crate) struct Action;
impl Action {
    pub(crate) fn read(
        _r: &Request<'_>,
        _t: &Target,
        _s: &Settings,
    ) -> Result<(Self, Option<Proof>), Refusal> {
        Ok((Self, None))
    }
    pub(crate) fn key(&self) -> Option<PublicKey> {
        None
    }
}
impl Work<'_> {
    pub(crate) fn run_api(&mut self, _a: &Action) -> Outcome<Response> {
        Err(Refusal::new(crate::error::ErrorCode::Unavailable, "").into())
    }
}
pub(crate) fn refusal(r: &Refusal) -> Response {
    Response::from(r)
}
