//! A file's URL, or the last segment of its path.

#![no_main]

use domain::FileLink;
use libfuzzer_sys::fuzz_target;
use platform::capability::Capability;

fuzz_target!(|text: &str| {
    if let Some(capability) = Capability::parse(text) {
        let url = capability.link().url("https://api.example.com");
        let (host, again) = Capability::of_url(&url).expect("what was written can be read");
        assert!(host == "api.example.com" && again.matches(&capability));
        assert_eq!(text.len(), Capability::CHARACTERS);
    }

    if let Some((host, link)) = FileLink::of_url(text) {
        assert!(text.contains(host) && text.ends_with(link.secret()));
        let _ = (link.host(), link.without_host());
    }
    let _ = Capability::of_url(text);
});
