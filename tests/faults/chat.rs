//! A chat through a network that is cut.

use crate::common::chatter::Chatter;
use crate::common::wire::Weather;
use crate::site::{Site, cuts};
use std::thread::sleep;

#[test]
fn a_chat_lives_through_a_cut_without_losing_or_repeating_anything() {
    let Some(mut site) = Site::open("chat", &[]) else { return };
    let mut near = Chatter::start(&mut site.near(&["chat"]));
    let mut far = Chatter::start(&mut site.far(&["chat"]));
    near.event("present");
    far.event("present");
    let mut expected = Vec::new();
    let mut say = |near: &mut Chatter, far: &mut Chatter, when: &str| {
        for (chatter, who) in [(near, "near"), (far, "far")] {
            for number in 0..3 {
                let text = format!("{who}, {when}, {number}");
                chatter.say(&text);
                expected.push(text);
            }
        }
    };
    for cut in cuts() {
        say(&mut near, &mut far, &format!("before {cut:?}"));
        site.wire.weather(Weather { cut: true, ..Weather::default() });
        say(&mut near, &mut far, &format!("within {cut:?}"));
        // The time itself is what is tested: nothing happens that could be awaited.
        sleep(cut);
        site.wire.weather(Weather::default());
        say(&mut near, &mut far, &format!("after {cut:?}"));
    }
    let order = |chatter: &mut Chatter| {
        let all = (0..expected.len()).map(|_| chatter.event("said"));
        all.map(|said| (said["number"].as_u64().unwrap(), said["text"].to_string()))
            .collect::<Vec<_>>()
    };
    let (by_near, by_far) = (order(&mut near), order(&mut far));
    assert_eq!(by_near, by_far);
    assert!(by_near.windows(2).all(|pair| pair[0].0 < pair[1].0), "{by_near:?}");
    let mut texts: Vec<_> = by_near.into_iter().map(|(_, text)| text).collect();
    let mut all: Vec<_> = expected.iter().map(|text| format!("{text:?}")).collect();
    texts.sort();
    all.sort();
    assert_eq!(texts, all);
    for chatter in [near, far] {
        let (status, rest) = chatter.end();
        assert!(status.success(), "{rest:?}");
        assert!(!rest.iter().any(|event| event["event"] == "not_sent"), "{rest:?}");
    }
}
