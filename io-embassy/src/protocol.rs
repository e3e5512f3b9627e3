//! The protocol's connection without its sizes, so that everything above it is compiled once,
//! whatever a device has room for.

use core::time::Duration;

use aire_proto::budget::{Cap, Charge, Dimension};
use aire_proto::connection::{Authenticated, CallError, EXPORTER_LEN, Stall};
use aire_proto::handshake::{Agreement, HandshakeError, Local, Verifier};
use aire_proto::storage::Storage;
use aire_proto::wire::{Budget, EncodeError, NONCE_LEN};
use aire_proto::{
    CancelReason, Config, Connection, ErrorCode, Event, Input, Instant, Ledger, Now, OpId, Role,
    StreamId, Transmit,
};

/// Writes the trait, and its implementation by the methods of the same names.
macro_rules! protocol {
    (
        mut { $(fn $name:ident($($arg:ident: $type:ty),*) $(-> $ret:ty)?;)* }
        ref { $(fn $rname:ident($($rarg:ident: $rtype:ty),*) $(-> $rret:ty)?;)* }
    ) => {
        /// What is asked of [`Connection`].
        pub(crate) trait Protocol {
            /// Forgets all, and is a connection whose QUIC handshake is just done.
            fn restart(&mut self, config: Config, now: Now);

            fn poll_input<'a, 'i: 'a>(
                &'a mut self,
                stream: StreamId,
                input: &mut Input<'i>,
                now: Now,
            ) -> Option<Event<'a>>;

            fn poll_transmit(&mut self) -> Option<Transmit<'_>>;

            $(fn $name(&mut self, $($arg: $type),*) $(-> $ret)?;)*
            $(fn $rname(&self, $($rarg: $rtype),*) $(-> $rret)?;)*
        }

        impl<S: Storage> Protocol for Connection<S> {
            fn restart(&mut self, config: Config, now: Now) {
                *self = Self::new(Role::Client, config, now);
            }

            fn poll_input<'a, 'i: 'a>(
                &'a mut self,
                stream: StreamId,
                input: &mut Input<'i>,
                now: Now,
            ) -> Option<Event<'a>> {
                Self::poll_input(self, stream, input, now)
            }

            fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
                Self::poll_transmit(self)
            }

            $(fn $name(&mut self, $($arg: $type),*) $(-> $ret)? { Self::$name(self, $($arg),*) })*
            $(fn $rname(&self, $($rarg: $rtype),*) $(-> $rret)? { Self::$rname(self, $($rarg),*) })*
        }
    };
}

protocol! {
    mut {
        fn start(local: &Local<'_>, nonce: &[u8; NONCE_LEN], now: Now) -> Result<(), EncodeError>;
        fn bind_channel(exporter: &[u8; EXPORTER_LEN], nonce: &[u8; NONCE_LEN]);
        fn authenticate(local: &Local<'_>, verifier: &mut Verifier<'_>, now: Now) -> Result<Authenticated, HandshakeError>;
        fn poll_event() -> Option<Event<'static>>;
        fn wrote(stream: StreamId, count: usize, fin: bool, now: Now) -> bool;
        fn writable(stream: StreamId);
        fn stream_reset(stream: StreamId, code: u64);
        fn stream_stopped(stream: StreamId, code: u64);
        fn connection_lost(code: Option<u64>);
        fn handle_timeout(now: Now);
        fn invoke(agent: &str, operation: &str, args_len: usize) -> Result<StreamId, CallError>;
        fn resume(token: &[u8], last_recv: u64) -> Result<StreamId, CallError>;
        fn send(stream: StreamId, len: usize) -> Result<(), CallError>;
        fn finish(stream: StreamId) -> Result<(), CallError>;
        fn fail(stream: StreamId, code: ErrorCode, detail: &str, data: &[u8], now: Now) -> Result<(), CallError>;
        fn cancel(stream: StreamId, reason: CancelReason, detail: &str, now: Now) -> Result<(), CallError>;
        fn abort(stream: StreamId, code: ErrorCode);
        fn send_budget(stream: StreamId, budget: &Budget, now: Now) -> Result<(), CallError>;
        fn charge(stream: StreamId, charge: &Charge, now: Now) -> Result<(), CallError>;
        fn cap(stream: StreamId, cap: &Cap, now: Now) -> Result<(), CallError>;
        fn out_of_budget(stream: StreamId, what: Dimension, patience: Duration, now: Now);
        fn ledger(stream: StreamId) -> Option<Ledger>;
        fn goodbye(now: Now);
        fn close();
    }
    ref {
        fn is_open() -> bool;
        fn is_closed() -> bool;
        fn is_draining() -> bool;
        fn may_open() -> Result<(), CallError>;
        fn op_id(stream: StreamId) -> Option<OpId>;
        fn stall(stream: StreamId) -> Option<Stall>;
        fn next_deadline() -> Option<Instant>;
        fn agreement() -> Option<&Agreement>;
    }
}
