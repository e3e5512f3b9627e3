//! Logs by `defmt` where the feature is on, and nothing at all where it is not.

#[cfg(feature = "defmt")]
macro_rules! info {
    ($($arg:tt)*) => { ::defmt::info!($($arg)*) };
}
#[cfg(feature = "defmt")]
macro_rules! debug {
    ($($arg:tt)*) => { ::defmt::debug!($($arg)*) };
}

#[cfg(not(feature = "defmt"))]
macro_rules! info {
    ($text:literal $(, $arg:expr)* $(,)?) => {{ $(let _unlogged = &$arg;)* }};
}
#[cfg(not(feature = "defmt"))]
macro_rules! debug {
    ($text:literal $(, $arg:expr)* $(,)?) => {{ $(let _unlogged = &$arg;)* }};
}

pub(crate) use {debug, info};
