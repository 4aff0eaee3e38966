use proptest::prelude::*;

use super::*;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01";
const GIF: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0";
const WEBP: &[u8] = b"RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0";
const HEIC: &[u8] = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic";
const TIFF: &[u8] = b"II*\0\x08\0\0\0\x0c\0\0\x01";
const PROGRAM: &[u8] = b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0\xb8\0\0\0\0\0\0\0";
const COMPOUND: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0\0\0\0\0\0\0";
const ZIP: &[u8] = b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0";
const GZIP: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03";
const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

fn confirmed(declared: &str, head: &[u8]) -> Result<String, String> {
    let declared = MediaType::parse(declared).expect("a media type");
    declared.confirmed(head).map(|found| found.0).map_err(|found| found.0)
}

fn ogg(packet: &[u8]) -> Vec<u8> {
    // RFC 3533 §6: a page with one packet.
    let length = u8::try_from(packet.len()).expect("a short packet");
    [b"OggS\0\x02\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x01".as_slice(), &[length], packet]
        .concat()
}

#[test]
fn media_types_are_read_by_their_one_name() {
    let read = |text| MediaType::parse(text).map(|name| name.0);
    assert_eq!(read("Text/Plain; charset=utf-8"), Some("text/plain".into()));
    assert_eq!(read("application/vnd.ms-excel"), Some("application/vnd.ms-excel".into()));

    for wrong in [
        "",
        "image",
        "image/",
        "/png",
        "image/png/x",
        "im age/png",
        "image/p\r\nX: y",
        "*/*",
        "a/b,c/d",
    ] {
        assert_eq!(read(wrong), None, "{wrong:?}");
    }
}

/// The names that the providers' pages use, and the spellings of browsers, phones and libraries.
#[test]
fn a_type_has_one_name_whatever_its_spelling() {
    for (spelling, name) in [
        ("image/jpg", "image/jpeg"),
        ("image/pjpeg", "image/jpeg"),
        ("IMAGE/X-PNG", "image/png"),
        ("image/x-ms-bmp", "image/bmp"),
        ("image/x-icon", "image/vnd.microsoft.icon"),
        ("audio/mp3", "audio/mpeg"),
        ("audio/x-mpeg-3", "audio/mpeg"),
        ("audio/x-m4a", "audio/mp4"),
        ("audio/m4a", "audio/mp4"),
        ("audio/x-aac", "audio/aac"),
        ("audio/AMR", "audio/amr"),
        ("audio/opus", "audio/ogg"),
        ("application/ogg", "audio/ogg"),
        ("audio/ogg;codecs=opus", "audio/ogg; codecs=opus"),
        ("audio/ogg; codecs=\"opus\"", "audio/ogg; codecs=opus"),
        ("audio/x-wav", "audio/wav"),
        ("audio/vnd.wave", "audio/wav"),
        ("audio/webm;codecs=opus", "audio/webm"),
        ("video/3gp", "video/3gpp"),
        ("video/mov", "video/quicktime"),
        ("video/x-m4v", "video/mp4"),
        ("application/x-pdf", "application/pdf"),
        ("application/x-zip-compressed", "application/zip"),
        ("application/msexcel", "application/vnd.ms-excel"),
        ("text/rtf", "application/rtf"),
        ("application/csv", "text/csv"),
        ("image/svg", "image/svg+xml"),
    ] {
        let read = MediaType::parse(spelling).expect("a media type");
        assert_eq!(read.as_str(), name, "{spelling}");

        let stored: MediaType =
            serde_json::from_value(spelling.into()).expect("records have any spelling");
        assert_eq!(stored, read, "{spelling}, as a record has it");
        assert_eq!(serde_json::to_value(&read).expect("plain data"), name);
    }
}

/// RFC 2046 §4.1.2: a text without its charset is ASCII to a reader.
#[test]
fn a_text_keeps_its_charset_unless_it_is_utf_8() {
    let charset =
        |text: &str| MediaType::parse(text).expect("a media type").charset().map(str::to_owned);
    assert_eq!(charset("text/plain; charset=ISO-8859-1").as_deref(), Some("iso-8859-1"));
    assert_eq!(
        charset("text/csv; header=present; Charset=\"Shift_JIS\"").as_deref(),
        Some("shift_jis")
    );
    for none in [
        "text/plain",
        "text/plain; charset=UTF-8",
        "text/plain; charset=us-ascii",
        "text/plain; charset=",
        "text/plain; charset=a b",
        "text/plain; charset=x\r\nBcc: y",
        "image/png; charset=iso-8859-1",
    ] {
        assert_eq!(charset(none), None, "{none:?}");
    }
}

#[test]
fn a_type_that_fits_the_bytes_is_confirmed() {
    for (declared, head) in [
        ("image/png", PNG),
        ("image/jpeg", b"\xff\xd8\xff\xe0JFIF"),
        ("image/heic", HEIC),
        ("image/heif", HEIC),
        (DOCX, ZIP),
        ("application/msword", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
        ("application/pdf", b"%PDF-1.7\n% a document\n"),
        ("application/pdf", b"\0\0a little rubbish\n%PDF-1.4"),
        ("audio/mp4", b"\0\0\0\x18ftypmp42\0\0\0\0"),
        ("audio/3gpp", b"\0\0\0\x18ftyp3gp4\0\0\0\0"),
        ("video/3gpp", b"\0\0\0\x18ftyp3gp4\0\0\0\0"),
        ("video/mp4", b"\0\0\0\x18ftypXAVC\0\0\0\0"),
        ("audio/mpeg", b"\xff\xfa\x90\x00"),
        ("audio/mpeg", b"ID3\x03\0\0\0\0\x0f\x76"),
        ("audio/aac", b"ID3\x03\0\0\0\0\x0f\x76"),
        ("audio/amr", b"#!AMR\n"),
        ("audio/ogg", b"OggS\0\x02\0\0\0\0\0\0\0\0 a recording"),
        ("video/webm", b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm"),
        ("audio/webm", b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm"),
        ("image/svg+xml", b"<?xml version=\"1.0\"?><svg/>"),
        ("image/svg+xml", b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>"),
        ("text/plain", b"hello"),
        ("text/plain", b"#!/bin/sh\nrm -rf /\n"),
        ("text/plain", b"<script>alert(1)</script>"),
        ("text/plain", b""),
        ("text/markdown", b"<p align=\"center\">"),
        ("image/svg+xml", b"<!-- drawn by hand --><svg/>"),
        ("text/plain", b"\xff\xfeh\0i\0"),
        ("text/csv", b"\xef\xbb\xbfname;price\r\n"),
        ("text/plain", b"\x1b[1mbold\x1b[0m\x0c"),
        ("application/json", b"{}"),
        ("application/x-of-our-own", b"\0\x01\x02"),
        ("application/vnd.microsoft.portable-executable", PROGRAM),
        ("application/x-msdos-program", PROGRAM),
        ("text/x-shellscript", b"#!/bin/sh\n"),
    ] {
        assert_eq!(confirmed(declared, head), Ok(declared.to_owned()));
    }
}

/// Two to four letters that [`infer`] takes for a format, and words that begin so.
const SHORT_SIGNATURES: [(&str, &str); 25] = [
    ("image/bmp", "BMW X5, built in 2021"),
    ("image/bmp", "BM"),
    ("application/vnd.microsoft.portable-executable", "MZ Motorräder"),
    ("application/x-llvm", "BC Partners"),
    ("audio/mpeg", "ID3 is a kind of tag"),
    ("audio/midi", "MThd is how it begins"),
    ("audio/x-ape", "MAC addresses of the printers"),
    ("audio/x-dsf", "DSD recordings"),
    ("audio/flac", "fLaC"),
    ("audio/ogg", "OggS and other formats"),
    ("application/x-bzip2", "BZh is how it begins"),
    ("application/vnd.bzip3", "BZ3v1"),
    ("application/x-shockwave-flash", "CWS Boco invoices"),
    ("application/x-shockwave-flash", "FWS, our supplier"),
    ("application/postscript", "%!PS is how PostScript begins"),
    ("application/postscript", "%! a comment"),
    ("application/vnd.sqlite3", "SQLite is a database"),
    ("application/x-lzip", "LZIP, a packer"),
    ("application/vnd.ms-cab-compressed", "MSCF"),
    ("application/vnd.ms-cab-compressed", "ISc(a)"),
    ("application/x-google-chrome-extension", "Cr24 steel"),
    ("image/vnd.adobe.photoshop", "8BPS"),
    ("image/gif", "GIFs of cats"),
    ("application/pdf", "see %PDF-1.4 for the format"),
    ("application/x-unix-archive", "!<arch> is how it begins"),
];

/// Issue trackers of `file` and of upload libraries are full of these: a text is told from its
/// whole beginning, as in <https://mimesniff.spec.whatwg.org/#rules-for-text-or-binary>.
#[test]
fn a_text_that_begins_like_a_signature_is_a_text() {
    for (signature, text) in SHORT_SIGNATURES {
        for declared in
            ["text/plain", "text/csv", "text/html", "application/json", "application/x-of-our-own"]
        {
            assert_eq!(
                confirmed(declared, text.as_bytes()),
                Ok(declared.into()),
                "{signature}: {text}"
            );
        }
        assert_eq!(
            confirmed("application/vnd.ms-excel", text.as_bytes()),
            Ok("application/vnd.ms-excel".into()),
            "{text}"
        );
    }

    // Where nothing is said, it is a text, and not what its first letters might be.
    assert_eq!(confirmed("application/octet-stream", b"BMW X5"), Ok("text/plain".into()));
    assert_eq!(
        confirmed("application/octet-stream", b"MZ Motorr\xe4der"),
        Ok(MediaType::UNKNOWN.into())
    );

    // Words of Russian in windows-1251 begin like AAC and MP3, and of Japanese in Shift_JIS.
    for text in [
        b"\xff\xf1\xed\xee, \xf7\xf2\xee \xef\xee\xf1\xfb\xeb\xea\xe0 \xe2 \xef\xf3\xf2\xe8 \xea \xe2\xe0\xec".as_slice(),
        b"\xff\xf3\xe7\xfb",
        b"\x83\x65\x83\x58\x83\x67",
        b"0\x82\xe5",
    ] {
        assert_eq!(confirmed("text/plain", text), Ok("text/plain".into()), "{text:?}");
    }
}

/// Names by which browsers and the registry call the files of common programs.
#[test]
fn honest_files_go_through() {
    let tar = [b"BMW/offer.txt".as_slice(), &[0; 244], b"ustar\x0000", &[0; 20]].concat();
    for (declared, head) in [
        // Windows with Excel calls a CSV so; the web saves tables and texts under old endings.
        ("application/vnd.ms-excel", b"name;price\r\nBMW;1\r\n".as_slice()),
        ("application/vnd.ms-excel", b"<html><table><tr><td>1</td></tr></table>"),
        ("application/vnd.ms-excel", b"ID;PSYLK"),
        ("application/msword", b"{\\rtf1\\ansi"),
        ("application/vnd.ms-outlook", COMPOUND),
        ("application/vnd.visio", COMPOUND),
        ("application/x-mspublisher", COMPOUND),
        ("application/vnd.ms-excel.sheet.macroEnabled.12", ZIP),
        ("application/vnd.ms-excel.sheet.binary.macroEnabled.12", ZIP),
        ("application/vnd.ms-word.document.macroEnabled.12", ZIP),
        ("application/vnd.ms-powerpoint.presentation.macroEnabled.12", ZIP),
        ("application/vnd.ms-visio.drawing.main+xml", ZIP),
        // A document with a password is in a compound file.
        (DOCX, COMPOUND),
        ("application/vnd.ms-excel.sheet.macroEnabled.12", COMPOUND),
        ("application/vnd.apple.pages", ZIP),
        ("application/vnd.apple.numbers", ZIP),
        ("application/vnd.apple.keynote", ZIP),
        ("application/x-iwork-pages-sffpages", ZIP),
        ("application/vnd.oasis.opendocument.text", ZIP),
        ("application/vnd.oasis.opendocument.text-flat-xml", b"<?xml version=\"1.0\"?>"),
        ("application/epub+zip", ZIP),
        ("application/java-archive", ZIP),
        ("application/vnd.google-earth.kmz", ZIP),
        ("model/3mf", ZIP),
        ("application/gzip", GZIP),
        ("application/x-compressed-tar", GZIP),
        ("application/x-gtar-compressed", GZIP),
        ("application/x-tgz", GZIP),
        ("application/x-compressed", GZIP),
        ("application/x-tar", &tar),
        ("application/pkcs7-signature", b"0\x82\x0a\x10\x06\x09\x2a\x86"),
        ("application/x-pkcs12", b"0\x82\x0a\x10\x02\x01\x03\0"),
        ("application/x-x509-ca-cert", b"0\x82\x0a\x10\x06\x09\x2a\x86"),
        ("text/calendar", b"BEGIN:VCALENDAR\r\n"),
        ("message/rfc822", b"From: anna@example.com\r\n"),
        ("application/sql", b"-- MZ\n"),
        ("application/gpx+xml", b"<?xml version=\"1.0\"?><gpx/>"),
        // Sound begins as a script does; the bytes behind are no text.
        ("audio/amr", b"#!AMR\n\x3c\x08\0\0"),
        ("audio/amr-wb", b"#!AMR-WB\n\x44\0\0"),
        ("audio/aiff", b"FORM\0\0\x10\0AIFCFVER\0\0"),
        ("application/postscript", b"\xc5\xd0\xd3\xc6\x20\0\0\0"),
        // Programs that still run write as they did in 1992.
        ("application/vnd.ms-excel", b"\x09\0\x04\0\x02\0\x10\0"),
        ("application/vnd.ms-excel", b"\x09\x08\x10\0\0\x06\x05\0"),
        ("application/msword", b"\xdb\xa5\x2d\0\0\0"),
        ("image/x-adobe-dng", TIFF),
        ("image/x-nikon-nef", TIFF),
        // A charset that says the order of bytes needs no mark.
        ("text/plain; charset=utf-16le", b"a\0b\0\r\0\n\0"),
        ("text/csv; charset=utf-16be", b"\0a\0;\0b\x65"),
    ] {
        let declared = declared.to_ascii_lowercase();
        assert_eq!(confirmed(&declared, head), Ok(declared));
    }

    // Another archive or another document than its ending says.
    assert_eq!(
        confirmed("application/postscript", b"%PDF-1.5\n%\xe2\xe3\0\0"),
        Ok("application/pdf".into())
    );
    assert_eq!(confirmed("application/x-tar", GZIP), Ok("application/gzip".into()));
    let mut docx = [ZIP, &[0; 16], b"word/document.xml"].concat();
    docx.resize(64, 0);
    assert_eq!(confirmed("application/msword", &docx), Ok(DOCX.into()));
}

/// Browsers save a WebP under the `.jpg` of its address, and phones call any film `.mp4`.
#[test]
fn pictures_sound_and_films_are_what_their_bytes_say() {
    let opus = ogg(b"OpusHead\x01\x02");
    let vorbis = ogg(b"\x01vorbis\0\0\0\0");
    let theora = ogg(b"\x80theora\x03\x02");
    for (declared, head, is) in [
        ("image/jpeg", PNG, "image/png"),
        ("image/jpg", PNG, "image/png"),
        ("image/jpeg", WEBP, "image/webp"),
        ("image/png", WEBP, "image/webp"),
        ("image/png", JPEG, "image/jpeg"),
        ("image/webp", JPEG, "image/jpeg"),
        ("image/gif", JPEG, "image/jpeg"),
        ("image/jpeg", GIF, "image/gif"),
        ("image/jpeg", HEIC, "image/heif"),
        ("image/svg+xml", PNG, "image/png"),
        ("audio/opus", &opus, "audio/ogg; codecs=opus"),
        ("application/ogg", &opus, "audio/ogg; codecs=opus"),
        ("video/ogg", &opus, "audio/ogg; codecs=opus"),
        ("audio/ogg", &vorbis, "audio/ogg; codecs=vorbis"),
        ("audio/ogg; codecs=opus", &vorbis, "audio/ogg; codecs=vorbis"),
        ("application/ogg", &theora, "video/ogg; codecs=theora"),
        ("audio/mpeg", b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav"),
        ("audio/mpeg", &opus, "audio/ogg; codecs=opus"),
        ("image/jpeg", TIFF, "image/tiff"),
        ("image/gif", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video/mp4"),
        ("image/gif", b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", "video/webm"),
        ("video/mp4", b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "video/quicktime"),
        ("video/quicktime", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video/mp4"),
        ("audio/mpeg", b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42", "audio/mp4"),
        ("video/mp4", b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42", "audio/mp4"),
        ("application/octet-stream", PNG, "image/png"),
        ("application/octet-stream", &opus, "audio/ogg; codecs=opus"),
    ] {
        assert_eq!(confirmed(declared, head), Ok(is.into()), "{declared}");
    }
}

#[test]
fn a_type_that_contradicts_the_bytes_is_refused() {
    let unknown = MediaType::UNKNOWN;
    for (declared, head, found) in [
        ("application/pdf", b"hello".as_slice(), unknown),
        ("text/plain", b"a\0b", unknown),
        ("text/plain; charset=utf-16le", b"\0\xd8\0\xd8\0\0", unknown),
        ("text/plain; charset=utf-16le", PROGRAM, "application/vnd.microsoft.portable-executable"),
        ("text/csv", PNG, "image/png"),
        ("image/gif", b"<html><script>", "text/html"),
        ("video/mp4", b"<!DOCTYPE html><script>", "text/html"),
        ("audio/x-of-our-own", b"<html><script>", "text/html"),
        ("application/pdf", b"<html><script>", "text/html"),
        ("image/png", b"<?xml version=\"1.0\"?><svg onload=\"alert(1)\"/>", "text/xml"),
        ("image/png", b"hello", unknown),
        ("application/json", PNG, "image/png"),
        ("image/png", PNG.strip_prefix(b"\x89").expect("a prefix"), unknown),
        (DOCX, b"hello", unknown),
        ("application/vnd.ms-powerpoint", b"hello", unknown),
        ("video/mp4", b"", unknown),
        ("video/mp4", PNG, "image/png"),
        ("image/png", GZIP, "application/gzip"),
    ] {
        assert_eq!(confirmed(declared, head), Err(found.to_owned()), "{declared}");
    }
}

/// The first bytes of files that run, from the formats' own descriptions.
const PROGRAMS: [(&[u8], &str); 8] = [
    (PROGRAM, "application/vnd.microsoft.portable-executable"),
    (
        &[
            0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 62, 0, 1, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64,
            0,
        ],
        "application/x-executable",
    ),
    (&[0xcf, 0xfa, 0xed, 0xfe, 7, 0, 0, 1], "application/x-mach-binary"),
    (&[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 2], "application/x-mach-binary"),
    (&[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 61], "application/java"),
    (b"\0asm\x01\0\0\0", "application/wasm"),
    (b"FWS\x0a\0\x01\0\0", "application/x-shockwave-flash"),
    (b"#!/bin/sh\nrm -rf /\n", "text/x-shellscript"),
];

#[test]
fn a_program_passes_as_nothing_else() {
    for (head, is) in PROGRAMS {
        for declared in [
            "image/png",
            "image/x-of-our-own",
            "audio/mpeg",
            "audio/ogg",
            "video/mp4",
            "application/pdf",
            "application/msword",
            "application/vnd.ms-excel",
            "application/zip",
            "application/gzip",
            "application/vnd.ms-outlook",
            "application/x-of-our-own",
            DOCX,
        ] {
            assert_eq!(confirmed(declared, head), Err(is.into()), "{declared}");
        }
        assert_eq!(confirmed("application/octet-stream", head), Ok(is.into()));
    }

    // A text may show a script; a text is what it stays.
    for (head, is) in PROGRAMS.into_iter().filter(|(head, _)| head.contains(&0)) {
        assert_eq!(confirmed("text/plain", head), Err(is.into()));
    }

    // An archive whose first file's name begins with a program's two letters is an archive.
    let name = [b"MZ/offer.txt".as_slice(), &[0; 245], b"ustar\x0000", &[0; 20]].concat();
    assert_eq!(confirmed("application/x-tar", &name), Ok("application/x-tar".into()));
    let mut program = name.clone();
    program[0x3c] = 0x80;
    assert!(confirmed("application/x-tar", &program).is_err(), "one that also runs");
}

/// Returns the first bytes of a compound file whose root has this class, as another library writes
/// it.
fn compound(version: cfb::Version, class: &str) -> Vec<u8> {
    let memory = std::io::Cursor::new(Vec::new());
    let mut file = cfb::CompoundFile::create_with_version(version, memory).expect("memory");
    file.set_storage_clsid("/", class.parse().expect("a class")).expect("a root");
    file.into_inner().into_inner()
}

/// The classes of `file`'s magic: `Magdir/ole2compounddocs`.
#[test]
fn an_installer_passes_as_no_document_and_a_document_as_no_installer() {
    const INSTALLERS: [&str; 3] = [
        "000c1082-0000-0000-c000-000000000046",
        "000c1084-0000-0000-c000-000000000046",
        "000c1086-0000-0000-c000-000000000046",
    ];
    const DOCUMENTS: [&str; 6] = [
        "00000000-0000-0000-0000-000000000000",
        "00020906-0000-0000-c000-000000000046", // Word
        "00020820-0000-0000-c000-000000000046", // Excel
        "64818d10-4f9b-11cf-86ea-00aa00b929e8", // PowerPoint
        "00020d0b-0000-0000-c000-000000000046", // Outlook
        "00021a14-0000-0000-c000-000000000046", // Visio
    ];
    let declarations = [
        "application/msword",
        "application/vnd.ms-excel",
        "application/vnd.ms-powerpoint",
        "application/vnd.ms-outlook",
        "application/vnd.visio",
        "application/x-ole-storage",
        DOCX,
    ];

    for version in [cfb::Version::V3, cfb::Version::V4] {
        for declared in declarations {
            for class in INSTALLERS {
                let head = compound(version, class);
                assert_eq!(confirmed(declared, &head), Err("application/x-msi".into()), "{class}");
            }
            for class in DOCUMENTS {
                // A workbook that is called a document becomes a workbook.
                let name = confirmed(declared, &compound(version, class)).expect("a document");
                assert_ne!(name, "application/x-msi", "{class}");
            }
        }

        for class in INSTALLERS {
            let head = compound(version, class);
            let msi = Ok("application/x-msi".to_owned());
            assert_eq!(confirmed("application/x-msi", &head), msi);
            assert_eq!(confirmed("application/octet-stream", &head), msi);
            assert!(
                confirmed("text/plain", &head).is_err() && confirmed("image/png", &head).is_err()
            );
        }
    }
}

proptest! {
    /// Whatever places and sizes the header of a compound file names.
    #[test]
    fn a_compound_header_of_nonsense_is_read(header in prop::collection::vec(any::<u8>(), 0..600)) {
        let head = [&COMPOUND[..8], &header].concat();
        prop_assert!(confirmed("application/octet-stream", &head).is_ok());
    }
}

#[test]
fn types_with_scripts_are_not_shown_inline() {
    let inline = |name: &str| MediaType::parse(name).expect("a media type").shows_inline();
    assert!(inline("image/png") && inline("application/pdf") && inline("video/mp4"));
    assert!(inline("audio/ogg; codecs=opus"));
    for name in [
        "text/html",
        "image/svg+xml",
        "application/xhtml+xml",
        "audio/x-of-their-own+xml",
        "video/x-of-their-own+xml",
        "image/x-of-their-own",
        "video/mp4+xml",
        "audio/html",
        "text/plain",
    ] {
        assert!(!inline(name), "{name}");
    }
}

proptest! {
    /// Whatever a text begins with, it is one.
    #[test]
    fn any_text_goes_through_as_a_text(text in "[\\x20-\\x7e\\n\\r\\tÀ-ÿа-я日本]{0,200}") {
        let declared = MediaType::parse("text/plain").expect("a media type");
        prop_assert_eq!(declared.clone().confirmed(text.as_bytes()), Ok(declared));
    }

    /// The form and the announcement confirm by the same rule, and once is enough.
    #[test]
    fn a_confirmed_type_is_confirmed_again(
        declared in prop::sample::select(vec!["image/jpg", "audio/opus", "application/ogg", "text/plain",
            "application/octet-stream", "application/vnd.ms-excel", "video/3gp", "application/x-tar", DOCX]),
        head in prop::sample::select(vec![PNG, JPEG, WEBP, GZIP, ZIP, COMPOUND, b"BMW X5", b"", PROGRAM]),
    ) {
        let declared = MediaType::parse(declared).expect("a media type");
        if let Ok(confirmed) = declared.confirmed(head) {
            prop_assert_eq!(confirmed.clone().confirmed(head), Ok(confirmed));
        }
    }
}
