//! A part of a file, as RFC 9110 has it in its section 14.

use crate::hub::problem::Problem;
use actix_web::HttpRequest;
use actix_web::http::header::{self, ByteRangeSpec, EntityTag, Header, IfRange, Range};
use actix_web::http::{Method, StatusCode};

/// What of a file is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// From here to there, both in it.
    From(u64, u64),
    /// None of it, as there is no such part.
    Nothing,
    /// None of it, as whoever asks has it.
    Known,
}

impl Part {
    /// What a request asks for of a file with this length and this mark. A range that makes no sense,
    /// or of a file that is another now, asks for all; so do several at once, which need not be served.
    pub(super) fn of(request: &HttpRequest, size: u64, mark: &EntityTag) -> Self {
        if knows(request, mark) {
            return Self::Known;
        }
        // There are parts of what is given alone.
        if request.method() != Method::GET {
            return Self::Whole;
        }
        let Ok(Range::Bytes(ranges)) = Range::parse(request) else { return Self::Whole };
        let [range] = ranges.as_slice() else { return Self::Whole };
        if request.headers().contains_key(header::IF_RANGE) {
            let same = match IfRange::parse(request) {
                Ok(IfRange::EntityTag(asked)) => asked.strong_eq(mark),
                // By a date nothing is told for sure.
                _ => false,
            };
            if !same {
                return Self::Whole;
            }
        }
        match range.to_satisfiable_range(size) {
            Some((from, to)) => Self::From(from, to),
            // The end of nothing is nothing, which is there.
            None if size == 0 && matches!(range, ByteRangeSpec::Last(_)) => Self::Whole,
            None => Self::Nothing,
        }
    }
}

/// Whether whoever asks has what has this mark.
fn knows(request: &HttpRequest, mark: &EntityTag) -> bool {
    let asked = request.headers().get_all(header::IF_NONE_MATCH);
    let mut asked = asked.filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
    asked.any(|one| {
        let one = one.trim();
        one == "*" || one.parse().is_ok_and(|one: EntityTag| one.weak_eq(mark))
    })
}

/// Whether a request is for the rest of what somebody has a part of, which has this mark.
pub(super) fn goes_on(request: &HttpRequest, mark: &str) -> bool {
    let has = matches!(IfRange::parse(request), Ok(IfRange::EntityTag(asked)) if
        asked.strong_eq(&EntityTag::new_strong(mark.to_owned())));
    has && request.headers().contains_key(header::RANGE)
}

/// There is no such part of what is so long.
pub(super) fn nothing(size: u64) -> Problem {
    let words = format!("there is no such part of {size} bytes");
    Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn part(size: u64, headers: &[(&str, &str)]) -> Part {
        let request = headers.iter().fold(TestRequest::get(), |r, header| r.insert_header(*header));
        Part::of(&request.to_http_request(), size, &EntityTag::new_strong("abc".into()))
    }

    #[test]
    fn a_part_is_what_was_asked_for() {
        for (range, is) in [
            ("bytes=0-4", Part::From(0, 4)),
            ("bytes=95-", Part::From(95, 99)),
            ("bytes=-5", Part::From(95, 99)),
            ("bytes=90-1000", Part::From(90, 99)),
            ("bytes=-1000", Part::From(0, 99)),
            ("bytes=100-", Part::Nothing),
            // What ends before it begins is no range.
            ("bytes=5-4", Part::Whole),
            ("bytes=0-4,8-9", Part::Whole),
            ("lines=0-4", Part::Whole),
            ("bytes=x", Part::Whole),
            ("bytes=99999999999999999999999-", Part::Whole),
        ] {
            assert_eq!(part(100, &[("range", range)]), is, "{range}");
        }
        assert_eq!(part(100, &[]), Part::Whole);
        assert_eq!(part(0, &[("range", "bytes=0-")]), Part::Nothing);
        assert_eq!(part(0, &[("range", "bytes=-5")]), Part::Whole);
    }

    #[test]
    fn of_what_is_another_now_all_is_given() {
        let range = ("range", "bytes=50-");
        for (mark, is) in [
            ("\"abc\"", Part::From(50, 99)),
            ("\"abd\"", Part::Whole),
            ("W/\"abc\"", Part::Whole),
            ("Thu, 26 Nov 2026 08:00:00 GMT", Part::Whole),
            ("?", Part::Whole),
        ] {
            assert_eq!(part(100, &[range, ("if-range", mark)]), is, "{mark}");
        }
        assert_eq!(part(100, &[range, ("if-none-match", "\"x\", \"abc\"")]), Part::Known);
        assert_eq!(part(100, &[("if-none-match", "\"x\"")]), Part::Whole);
    }
}
