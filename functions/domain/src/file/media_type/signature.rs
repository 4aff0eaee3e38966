//! The type of a file by its first bytes.
//!
//! [`infer`] knows many signatures, some of them as short as two letters. Such a signature says
//! little: a text may begin with `BM`, `MZ` or `ID3`. So a text is only taken for formats that are
//! text themselves, and the shortest signatures of other files count with a second trait.

use super::names::{self, canonical};

/// So many bytes without a [binary data byte](is_text) are a text, also in an old encoding: headers
/// of other files that do not begin with a letter have zeros among their first bytes.
const MIN_TEXT_BYTES: usize = 32;

/// A type that a file's first bytes show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Finding {
    /// The type.
    pub(super) name: &'static str,
    /// The codec, of Ogg.
    pub(super) codec: Option<&'static str>,
    /// True if the bytes show the container and leave open which of its types it is.
    pub(super) is_generic: bool,
}

impl Finding {
    fn of(name: &'static str) -> Finding {
        Finding { name, codec: None, is_generic: false }
    }

    fn generic(name: &'static str) -> Finding {
        Finding { is_generic: true, ..Finding::of(name) }
    }
}

/// Returns the type that a file's first bytes show.
pub(super) fn recognize(head: &[u8]) -> Option<Finding> {
    // A few bytes may be the beginning of anything; many without a binary one are a text.
    let is_long = head.len() >= MIN_TEXT_BYTES || head.first().is_none_or(u8::is_ascii);
    if is_text(head) && (is_long || is_utf8(head)) {
        text_format(head)
    } else {
        binary_format(head)
    }
}

/// True if the first bytes are those of a file of this type, whatever else they may be.
pub(super) fn is_shown(name: &str, head: &[u8]) -> bool {
    match name {
        "image/bmp" => is_bitmap(head),
        // Sound of any kind may have a tag in front (https://id3.org/id3v2.4.0-structure).
        "audio/aac" | "audio/flac" if head.starts_with(b"ID3") => true,
        "audio/amr" | "audio/amr-wb" => amr(head).is_some_and(|found| found.name == name),
        "text/html" | "text/xml" => is_text(head),
        _ => names::spellings(name).any(|spelling| infer::is_mime(head, spelling)),
    }
}

/// True if files of this type have first bytes by which they are recognized.
pub(super) fn is_recognizable(name: &str) -> bool {
    let is_known = |spelling: &str| infer::is_mime_supported(spelling);
    !names::containers(name).is_empty() || names::spellings(name).any(is_known)
}

/// True for bytes that may be a text in some encoding: it has no [binary data
/// byte](https://mimesniff.spec.whatwg.org/#binary-data-byte), or says that it is UTF-16.
pub(super) fn is_text(head: &[u8]) -> bool {
    let is_binary = |byte: &u8| matches!(byte, 0..=0x08 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f);
    is_utf16(head) || !head.iter().any(is_binary)
}

/// True for bytes that are text in UTF-8, of which the last character may be cut.
pub(super) fn is_utf8(head: &[u8]) -> bool {
    is_text(head)
        && match std::str::from_utf8(head) {
            Ok(_) => true,
            Err(error) => error.error_len().is_none(),
        }
}

/// True for bytes that no text has in any encoding: zeros, unless it is UTF-16.
pub(super) fn is_binary(head: &[u8]) -> bool {
    !is_utf16(head) && head.contains(&0)
}

/// True for a text in UTF-16 that has no byte order mark, since its type says the order ([RFC 2781
/// §3.3](https://www.rfc-editor.org/rfc/rfc2781#section-3.3)).
pub(super) fn is_utf16_in(charset: Option<&str>, head: &[u8]) -> bool {
    let unit: fn([u8; 2]) -> u16 = match charset {
        Some("utf-16le") => u16::from_le_bytes,
        Some("utf-16be") => u16::from_be_bytes,
        _ => return false,
    };
    // The last character may be cut.
    let units = head.as_chunks::<2>().0.iter().map(|pair| unit(*pair));
    let characters: Vec<_> = char::decode_utf16(units).collect();
    let whole = characters.len().saturating_sub(1);
    characters[..whole].iter().all(|character| {
        character.as_ref().is_ok_and(|one| !one.is_control() || one.is_ascii_whitespace())
    })
}

fn is_utf16(head: &[u8]) -> bool {
    head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff])
}

/// Returns the format of a text, of those that have a beginning of their own.
fn text_format(head: &[u8]) -> Option<Finding> {
    let text = head.strip_prefix("\u{feff}".as_bytes()).unwrap_or(head);

    Some(Finding::of(if text.starts_with(b"%PDF-") {
        "application/pdf"
    } else if text.starts_with(b"{\\rtf") {
        "application/rtf"
    } else if text.starts_with(b"%!PS") {
        "application/postscript"
    } else if let Some(found) = amr(head) {
        return Some(found);
    } else if infer::text::is_shellscript(text) {
        "text/x-shellscript"
    } else if infer::text::is_xml(text) {
        "text/xml"
    } else if infer::text::is_html(text) {
        "text/html"
    } else {
        return None;
    }))
}

fn binary_format(head: &[u8]) -> Option<Finding> {
    if is_installer(head) {
        return Some(Finding::of(names::INSTALLER));
    }
    if let Some(found) = amr(head).or_else(|| unknown_to_infer(head)) {
        return Some(found);
    }
    if head.starts_with(b"OggS") {
        return Some(ogg(head));
    }
    if head.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) {
        return Some(matroska(head));
    }
    if infer::archive::is_tar(head) && !has_program_header(head) {
        return Some(Finding::of("application/x-tar"));
    }

    let found = infer::get(head).map(|found| found.mime_type());
    match found.filter(|name| is_certain(name, head)) {
        // Cameras write their raw pictures in it (https://helpx.adobe.com/camera-raw/digital-negative.html).
        Some(name @ "image/tiff") => Some(Finding::generic(name)),
        Some(name) => Some(Finding::of(canonical(name))),
        None if head.get(4..8) == Some(b"ftyp") => Some(iso_media(head)),
        // Every frame of MPEG audio begins with eleven set bits; the layer bits 01 mean layer III.
        None if head.len() > 2 && head[0] == 0xff && head[1] & 0xe6 == 0xe2 => {
            Some(Finding::of("audio/mpeg"))
        }
        None => None,
    }
}

/// Recognizes sound for telephones ([RFC 4867
/// §5.1](https://www.rfc-editor.org/rfc/rfc4867#section-5.1)), which begins as a script does.
fn amr(head: &[u8]) -> Option<Finding> {
    if head.starts_with(b"#!AMR-WB") {
        Some(Finding::of("audio/amr-wb"))
    } else if head.starts_with(b"#!AMR") {
        Some(Finding::of("audio/amr"))
    } else {
        None
    }
}

/// Recognizes formats that are still sent and that [`infer`] does not tell.
fn unknown_to_infer(head: &[u8]) -> Option<Finding> {
    const KNOWN: [(&[u8], &str); 8] = [
        // PostScript with a preview in front: Adobe's Encapsulated PostScript File Format, §5.2.
        (&[0xc5, 0xd0, 0xd3, 0xc6], "application/postscript"),
        // Workbooks of Excel 2 to 4, and those of Excel 5 without a compound file around them:
        // [MS-XLS §2.4.21](https://learn.microsoft.com/en-us/openspecs/office_file_formats/ms-xls/).
        (&[0x09, 0x00, 0x04, 0x00], names::EXCEL),
        (&[0x09, 0x02, 0x06, 0x00], names::EXCEL),
        (&[0x09, 0x04, 0x06, 0x00], names::EXCEL),
        (&[0x09, 0x08, 0x08, 0x00], names::EXCEL),
        (&[0x09, 0x08, 0x10, 0x00], names::EXCEL),
        // Documents of Word 2, and of Write: `file`'s Magdir/msdos.
        (&[0xdb, 0xa5, 0x2d, 0x00], names::WORD),
        (&[0x31, 0xbe, 0x00, 0x00], names::WORD),
    ];

    if head.starts_with(b"FORM") && head.get(8..12) == Some(b"AIFC") {
        return Some(Finding::of("audio/aiff"));
    }
    let found = KNOWN.iter().find(|(signature, _)| head.starts_with(signature));
    found.map(|(_, name)| Finding::of(name))
}

/// True unless the signature of the type is so short that other files begin with it.
fn is_certain(name: &str, head: &[u8]) -> bool {
    match name {
        "image/bmp" => is_bitmap(head),
        "application/x-llvm" => head.starts_with(b"BC\xc0\xde"),
        // Or two letters that object files begin with; those run nowhere.
        "application/x-executable" => head.starts_with(b"\x7fELF"),
        // Three letters, and the version (https://open-flash.github.io/mirrors/swf-spec-19.pdf).
        "application/x-shockwave-flash" => head.get(3).is_some_and(|version| *version < 64),
        // Any ASN.1 sequence: certificates, keys, signatures.
        "application/x-x509-ca-cert" => false,
        _ => true,
    }
}

/// True for a bitmap: `BM`, and after its header one of the sizes that the next header has
/// ([bitmap header types](https://learn.microsoft.com/en-us/windows/win32/gdi/bitmap-header-types)).
fn is_bitmap(head: &[u8]) -> bool {
    let size = head.get(14..18).and_then(|size| size.try_into().ok()).map(u32::from_le_bytes);
    head.starts_with(b"BM") && matches!(size, Some(12 | 16 | 40 | 52 | 56 | 64 | 108 | 124))
}

/// True for `MZ` with the place of a second header, which programs for Windows have at 0x3c ([PE
/// format](https://learn.microsoft.com/en-us/windows/win32/debug/pe-format#ms-dos-stub-image-only)).
/// An archive of a file whose name begins so has none.
fn has_program_header(head: &[u8]) -> bool {
    head.starts_with(b"MZ") && head.get(0x3c..0x40).is_some_and(|place| place != [0; 4])
}

/// True for a compound file whose root has the class of an installer, of a patch or of a transform
/// of one, which Windows runs as it runs programs. The root is the first entry of the directory
/// ([MS-CFB §2.2 and
/// §2.6](https://learn.microsoft.com/en-us/openspecs/windows_protocols/ms-cfb/28488197-8193-49d7-84d8-dfd692418ccd));
/// the classes are those that [`file`'s
/// magic](https://github.com/file/file/blob/master/magic/Magdir/ole2compounddocs) knows. A directory
/// that lies behind the first bytes is not looked for.
fn is_installer(head: &[u8]) -> bool {
    const MAGIC: [u8; 8] = [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];
    const SECTOR_SHIFT: usize = 30;
    const FIRST_DIRECTORY_SECTOR: usize = 48;
    const CLASS: usize = 80; // in a directory entry
    // 000C1082, 84 and 86, each with this behind.
    const CLASS_END: [u8; 14] = [0x0c, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46];

    let root_class = || {
        let shift = u32::from(*head.get(SECTOR_SHIFT)?);
        let sector = head.get(FIRST_DIRECTORY_SECTOR..)?.first_chunk().copied()?;
        // The header takes the first sector's place.
        let sector = usize::try_from(u32::from_le_bytes(sector)).ok()?.checked_add(1)?;
        let root = sector.checked_mul(1usize.checked_shl(shift)?)?;
        head.get(root.checked_add(CLASS)?..)?.first_chunk::<16>()
    };

    head.starts_with(&MAGIC)
        && root_class().is_some_and(|class| {
            matches!(class[..2], [0x82 | 0x84 | 0x86, 0x10]) && class[2..] == CLASS_END
        })
}

/// Tells the codec by the first packet ([RFC 3533
/// §6](https://www.rfc-editor.org/rfc/rfc3533#section-6): 27 bytes, the number of segments, and as
/// many lengths).
fn ogg(head: &[u8]) -> Finding {
    const MAGIC: [&[u8]; 5] = [b"OpusHead", b"\x01vorbis", b"\x7fFLAC", b"Speex   ", b"\x80theora"];

    let segments = usize::from(head.get(26).copied().unwrap_or(0));
    let packet = head.get(27 + segments..).unwrap_or_default();
    let mut known = MAGIC.into_iter().zip(names::OGG_CODECS);
    match known.find(|(magic, _)| packet.starts_with(magic)) {
        Some((_, (name, codec))) => Finding { name, codec: Some(codec), is_generic: false },
        None => Finding::generic(names::OGG),
    }
}

fn matroska(head: &[u8]) -> Finding {
    let first = &head[..head.len().min(64)];
    let is_webm = first.windows(4).any(|window| window == b"webm");
    Finding::generic(if is_webm { "video/webm" } else { "video/matroska" })
}

/// Tells the type by the major brand ([registered
/// brands](https://mp4ra.org/registered-types/brands)).
fn iso_media(head: &[u8]) -> Finding {
    match head.get(8..12) {
        Some([b'3', b'g', b'p', _]) => Finding::generic("video/3gpp"),
        Some([b'3', b'g', b'2', _]) => Finding::generic("video/3gpp2"),
        Some(b"M4A " | b"M4B " | b"M4P ") => Finding::of("audio/mp4"),
        _ => Finding::generic("video/mp4"),
    }
}
