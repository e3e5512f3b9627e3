//! The time, as it is handed in.

use alloc::format;
use alloc::string::String;

/// A point in time: milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// A Unix timestamp, in seconds.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Whole seconds since 1970, rounded down.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// So many seconds later.
    #[must_use]
    pub const fn after_seconds(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// So many seconds earlier, or 1970.
    #[must_use]
    pub const fn before_seconds(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds.saturating_mul(1000)))
    }
}

/// The last moment that has a four-digit year.
const LAST: u64 = 253_402_300_799_999;

impl Time {
    /// As ISO 8601 writes it, in UTC and whole seconds: `2026-01-02T00:00:00Z`. Times after the
    /// year 9999 are written as its last moment.
    #[must_use]
    pub fn iso(self) -> String {
        let (year, month, day) = self.date();
        let (hour, minute, second, _) = self.clock();
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    /// As [`iso`](Self::iso), with milliseconds: `2026-01-02T00:00:00.000Z`. All have the same
    /// width, so that texts compare as times do.
    #[must_use]
    pub fn iso_millis(self) -> String {
        let (year, month, day) = self.date();
        let (hour, minute, second, millis) = self.clock();
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }

    /// Reads what [`iso`](Self::iso) and [`iso_millis`](Self::iso_millis) write; digits beyond
    /// milliseconds are cut off. `None` for anything else, times before 1970 included.
    #[must_use]
    pub fn parse_iso(text: &str) -> Option<Self> {
        let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "000"));
        let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
        let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
        let digits = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
        let whole = year >= 1970 && hour < 24 && minute < 60 && second < 60;
        if !digits || !whole || !(1..=12).contains(&month) {
            return None;
        }
        let millis: String = fraction.chars().chain("00".chars()).take(3).collect();
        let time = at(
            year,
            month,
            day,
            [hour, minute, second, millis.parse().ok()?],
        );
        // A day that its month has not got comes back as another one.
        (time.date() == (year, month, day)).then_some(time)
    }

    /// Hour, minute, second and millisecond of the day.
    fn clock(self) -> (u64, u64, u64, u64) {
        let millis = self.0.min(LAST) % 86_400_000;
        let seconds = millis / 1000;
        (
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
            millis % 1000,
        )
    }

    /// Year, month and day, in a calendar of 400 years that begin in March: leap days come last.
    // Bounded by `LAST`: nothing comes near the ends of the type, and no difference is negative.
    #[allow(clippy::arithmetic_side_effects)]
    fn date(self) -> (u64, u64, u64) {
        let days = self.0.min(LAST) / 86_400_000 + DAYS_TO_1970;
        let (cycle, day) = (days / DAYS_IN_CYCLE, days % DAYS_IN_CYCLE);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let january = u64::from(month >= 10);
        let month = if month < 10 { month + 3 } else { month - 9 };
        (cycle * 400 + year + january, month, day)
    }
}

/// From the first of March of the year 0.
const DAYS_TO_1970: u64 = 719_468;

/// 400 years.
const DAYS_IN_CYCLE: u64 = 146_097;

/// The moment of a date from 1970 to 9999, whose month is one of the twelve.
// Bounded by four digits for the year and two for everything else.
#[allow(clippy::arithmetic_side_effects)]
fn at(year: u64, month: u64, day: u64, clock: [u64; 4]) -> Time {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    // The day counts from 1.
    let days = days.saturating_sub(DAYS_TO_1970 + 1);
    let [hour, minute, second, millis] = clock;
    Time((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + millis)
}

/// Three numbers of so many digits, with `between` between them.
fn numbers(text: &str, between: char, digits: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(between);
    let mut numbers = [0; 3];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_calendar_has_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (68_169_599, "1972-02-28T23:59:59Z"),
            (68_169_600, "1972-02-29T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_767_312_000, "2026-01-02T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (u64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(Time::from_seconds(seconds).iso(), text);
        }
        let time = Time(1_767_312_000_007);
        assert_eq!(time.iso_millis(), "2026-01-02T00:00:00.007Z");
    }

    #[test]
    fn every_day_of_a_cycle_is_read_back_as_it_is_written() {
        for day in 0..146_100 {
            let time = Time(day * 86_400_000 + 12_345_678);
            assert_eq!(Time::parse_iso(&time.iso_millis()), Some(time));
        }
    }

    #[test]
    fn what_is_no_time_is_not_read() {
        for bad in [
            "",
            "2026-01-02",
            "2026-01-02T00:00:00",
            "2026-01-02T00:00:00+00:00",
            "2026-1-02T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-02T24:00:00Z",
            "2026-01-02T00:00:00.Z",
            "2026-01-02T00:00:00.+1Z",
            "1969-12-31T23:59:59Z",
            "2026-01-02-03T00:00:00Z",
        ] {
            assert_eq!(Time::parse_iso(bad), None, "{bad}");
        }
        let cut = Time::parse_iso("2026-01-02T00:00:00.1234567Z");
        assert_eq!(cut, Some(Time(1_767_312_000_123)));
        let short = Time::parse_iso("2026-01-02T00:00:00.5Z");
        assert_eq!(short, Some(Time(1_767_312_000_500)));
    }
}
