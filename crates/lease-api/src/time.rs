//! Parses and formats points in time as Go does. kube-apiserver accepts a MicroTime only with exactly six digits, which most
//! clients of Leases get wrong once.

use jiff::Timestamp;
use jiff::civil::DateTime;

/// The form of a point in time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Precision {
    Seconds,
    Micros,
}

impl Precision {
    fn layout(self) -> &'static str {
        match self {
            Self::Seconds => "2006-01-02T15:04:05Z07:00",
            Self::Micros => "2006-01-02T15:04:05.000000Z07:00",
        }
    }
}

/// Returns the present time, to the second.
pub fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Returns how many seconds ago a time was; negative in the future.
pub fn seconds_since(time: &str) -> Option<i64> {
    let time: Timestamp = time.parse().ok()?;
    Some(Timestamp::now().duration_since(time).as_secs())
}

/// Parses a time and returns its stored form, in UTC.
///
/// # Errors
/// The message of Go's `time.Parse`.
pub fn normalized(text: &str, precision: Precision) -> Result<String, String> {
    Parser { text, rest: text, precision }.parse()
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
    precision: Precision,
}

impl<'a> Parser<'a> {
    fn parse(mut self) -> Result<String, String> {
        let year = self.number(4, "2006", 0..=9999, "year")?;
        self.literal("-")?;
        let month = self.number(2, "01", 1..=12, "month")?;
        self.literal("-")?;
        // Whether the month has such a day is checked last, as in Go.
        let day = self.number(2, "02", 0..=99, "day")?;
        self.literal("T")?;
        let hour = self.number(2, "15", 0..=23, "hour")?;
        self.literal(":")?;
        let minute = self.number(2, "04", 0..=59, "minute")?;
        self.literal(":")?;
        let second = self.number(2, "05", 0..=59, "second")?;
        let micros = match self.precision {
            Precision::Micros => self.micros()?,
            Precision::Seconds => self.fraction(),
        };
        let minutes_east = self.offset()?;
        if !self.rest.is_empty() {
            return Err(format!("{}: extra text: {}", self.quoting(), crate::go::quoted(self.rest)));
        }
        // All of these are small, so the conversions below cannot fail.
        let small = |number: u32| i8::try_from(number).unwrap_or(i8::MAX);
        let date = i16::try_from(year).ok().and_then(|year| {
            DateTime::new(year, small(month), small(day), small(hour), small(minute), small(second), 0).ok()
        });
        let Some(date) = date else { return Err(format!("{}: day out of range", self.quoting())) };
        let utc = date.checked_sub(jiff::SignedDuration::from_mins(minutes_east));
        let utc = utc.map_err(|_| format!("{}: year out of range", self.quoting()))?;
        let seconds = utc.strftime("%Y-%m-%dT%H:%M:%S");
        Ok(match self.precision {
            Precision::Seconds => format!("{seconds}Z"),
            Precision::Micros => format!("{seconds}.{micros:06}Z"),
        })
    }

    fn quoting(&self) -> String {
        format!("parsing time {}", crate::go::quoted(self.text))
    }

    fn cannot(&self, rest: &str, element: &str) -> String {
        let layout = self.precision.layout();
        format!("{} as \"{layout}\": cannot parse {} as \"{element}\"", self.quoting(), crate::go::quoted(rest))
    }

    fn literal(&mut self, text: &str) -> Result<(), String> {
        self.rest = self.rest.strip_prefix(text).ok_or_else(|| self.cannot(self.rest, text))?;
        Ok(())
    }

    fn number(
        &mut self,
        digits: usize,
        element: &str,
        range: std::ops::RangeInclusive<u32>,
        name: &str,
    ) -> Result<u32, String> {
        let number = self.rest.get(..digits).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
        let number = number.and_then(|number| number.parse().ok()).ok_or_else(|| self.cannot(self.rest, element))?;
        self.rest = &self.rest[digits..];
        if range.contains(&number) { Ok(number) } else { Err(format!("{}: {name} out of range", self.quoting())) }
    }

    fn micros(&mut self) -> Result<u32, String> {
        let digits = self.rest.strip_prefix(['.', ',']).and_then(|rest| rest.get(..6));
        let micros = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let micros = micros.and_then(|micros| micros.parse().ok());
        let micros = micros.ok_or_else(|| self.cannot(self.rest, ".000000"))?;
        self.rest = &self.rest[7..];
        Ok(micros)
    }

    /// Go accepts a fraction of any length where the layout has none. Here it is dropped.
    fn fraction(&mut self) -> u32 {
        let Some(rest) = self.rest.strip_prefix(['.', ',']) else { return 0 };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            self.rest = &rest[digits..];
        }
        0
    }

    /// Parses an offset, in minutes; `Z` is 0.
    fn offset(&mut self) -> Result<i64, String> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(0);
        }
        let offset = self.rest.get(..6).and_then(|offset| {
            let sign = match offset.as_bytes()[0] {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            let (hours, minutes) = offset[1..].split_once(':')?;
            let two = |digits: &str| {
                let all = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
                all.then(|| digits.parse::<u8>().ok()).flatten()
            };
            let (hours, minutes) = (i64::from(two(hours)?), i64::from(two(minutes)?));
            (hours <= 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
        });
        let offset = offset.ok_or_else(|| self.cannot(self.rest, "Z07:00"))?;
        self.rest = &self.rest[6..];
        Ok(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> Result<String, String> {
        normalized(text, Precision::Micros)
    }

    #[test]
    fn a_micro_time_has_exactly_six_digits() {
        assert_eq!(micros("2024-01-01T00:00:00.123456Z").unwrap(), "2024-01-01T00:00:00.123456Z");
        let layout = "2006-01-02T15:04:05.000000Z07:00";
        for (text, rest, element) in [
            ("2024-01-01T00:00:00Z", "Z", ".000000"),
            ("2024-01-01T00:00:00.123Z", ".123Z", ".000000"),
            ("2024-01-01T00:00:00.123456789Z", "789Z", "Z07:00"),
            ("yesterday", "yesterday", "2006"),
            ("2024-01-01 00:00:00.123456Z", " 00:00:00.123456Z", "T"),
        ] {
            let error = format!("parsing time \"{text}\" as \"{layout}\": cannot parse \"{rest}\" as \"{element}\"");
            assert_eq!(micros(text).unwrap_err(), error);
        }
    }

    #[test]
    fn an_offset_is_taken_off() {
        assert_eq!(micros("2024-01-01T00:30:00.000001+01:00").unwrap(), "2023-12-31T23:30:00.000001Z");
        assert_eq!(micros("2024-01-01T00:30:00.000001-00:31").unwrap(), "2024-01-01T01:01:00.000001Z");
    }

    #[test]
    fn a_day_that_does_not_exist_is_out_of_range() {
        let error = micros("2023-02-29T00:00:00.000000Z").unwrap_err();
        assert_eq!(error, "parsing time \"2023-02-29T00:00:00.000000Z\": day out of range");
    }

    #[test]
    fn the_far_future_is_a_time() {
        assert_eq!(micros("9999-12-31T23:59:59.999999Z").unwrap(), "9999-12-31T23:59:59.999999Z");
    }

    #[test]
    fn seconds_lose_their_fraction() {
        let seconds = normalized("2024-01-01T00:00:00.5Z", Precision::Seconds);
        assert_eq!(seconds.unwrap(), "2024-01-01T00:00:00Z");
    }
}
