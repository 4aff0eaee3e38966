//! One name for each type of file, and what the types of files have in common.
//!
//! Browsers, phones and libraries write many types in more than one way. Names are from [IANA's
//! registry](https://www.iana.org/assignments/media-types/media-types.xhtml); where a type is not
//! registered, from [MIME Sniffing](https://mimesniff.spec.whatwg.org/). The other spellings are
//! those of the [shared MIME
//! database](https://gitlab.freedesktop.org/xdg/shared-mime-info/-/blob/master/data/freedesktop.org.xml.in)
//! (`<alias>`) and of browsers' bug reports.

/// Ogg without its codec ([RFC 5334](https://www.rfc-editor.org/rfc/rfc5334)).
pub(super) const OGG: &str = "audio/ogg";

/// The codec in an Ogg file, and the type that the file then has.
pub(super) const OGG_CODECS: [(&str, &str); 5] =
    [(OGG, "opus"), (OGG, "vorbis"), (OGG, "flac"), (OGG, "speex"), ("video/ogg", "theora")];

/// An installer for Windows; its type is not registered.
pub(super) const INSTALLER: &str = "application/x-msi";

/// Documents of Word and workbooks of Excel till 2003.
pub(super) const WORD: &str = "application/msword";
pub(super) const EXCEL: &str = "application/vnd.ms-excel";

/// Each type with its other spellings.
const SPELLINGS: &[(&str, &[&str])] = &[
    (
        "image/jpeg",
        &[
            "image/jpg",
            "image/pjpeg",
            "image/x-jpeg",
            "image/x-jpg",
            "image/x-pjpeg",
            "image/jfif",
            "image/x-citrix-jpeg",
        ],
    ),
    ("image/png", &["image/x-png", "image/x-citrix-png"]),
    ("image/gif", &["image/x-gif", "image/x-citrix-gif"]),
    ("image/webp", &["image/x-webp"]),
    ("image/bmp", &["image/x-bmp", "image/x-ms-bmp", "image/x-windows-bmp", "image/x-win-bitmap"]),
    ("image/tiff", &["image/tif", "image/x-tif", "image/x-tiff"]),
    (
        "image/vnd.microsoft.icon",
        &["image/x-icon", "image/x-ico", "image/ico", "image/icon", "text/ico"],
    ),
    ("image/svg+xml", &["image/svg", "image/svg-xml"]),
    ("image/jp2", &["image/jpeg2000", "image/jpeg2000-image", "image/x-jpeg2000-image"]),
    (
        "image/vnd.adobe.photoshop",
        &[
            "image/psd",
            "image/x-psd",
            "image/photoshop",
            "image/x-photoshop",
            "application/photoshop",
        ],
    ),
    (
        "audio/mpeg",
        &[
            "audio/mp3",
            "audio/x-mp3",
            "audio/x-mpeg",
            "audio/mpg",
            "audio/x-mpg",
            "audio/mpeg3",
            "audio/x-mpeg3",
            "audio/x-mpeg-3",
        ],
    ),
    ("audio/mp4", &["audio/m4a", "audio/x-m4a", "audio/x-mp4", "audio/mp4a-latm"]),
    ("audio/aac", &["audio/x-aac", "audio/aacp", "audio/x-hx-aac-adts", "audio/vnd.dlna.adts"]),
    ("audio/amr", &["audio/x-amr", "audio/amr-nb"]),
    ("audio/amr-wb", &["audio/x-amr-wb"]),
    (
        OGG,
        &[
            "audio/opus",
            "audio/x-opus",
            "audio/x-opus+ogg",
            "audio/vorbis",
            "audio/x-vorbis",
            "audio/x-vorbis+ogg",
            "audio/x-ogg",
            "application/ogg",
            "application/x-ogg",
        ],
    ),
    ("video/ogg", &["video/x-ogg", "video/theora", "video/x-theora", "video/x-theora+ogg"]),
    (
        "audio/wav",
        &[
            "audio/x-wav",
            "audio/wave",
            "audio/x-wave",
            "audio/vnd.wave",
            "audio/vnd.wav",
            "audio/x-pn-wav",
        ],
    ),
    ("audio/flac", &["audio/x-flac"]),
    ("audio/midi", &["audio/x-midi", "audio/mid", "audio/x-mid", "application/x-midi"]),
    ("audio/aiff", &["audio/x-aiff"]),
    ("audio/webm", &["audio/x-webm"]),
    ("audio/matroska", &["audio/x-matroska"]),
    ("audio/3gpp", &["audio/3gp"]),
    ("audio/x-ms-wma", &["audio/wma"]),
    ("video/mp4", &["video/x-mp4", "video/m4v", "video/x-m4v", "video/mp4v-es"]),
    ("video/3gpp", &["video/3gp", "video/x-3gpp"]),
    ("video/3gpp2", &["video/3gp2", "video/3g2"]),
    ("video/quicktime", &["video/mov", "video/x-mov", "video/x-quicktime"]),
    ("video/webm", &["video/x-webm"]),
    ("video/matroska", &["video/x-matroska", "video/mkv"]),
    ("video/x-msvideo", &["video/avi", "video/msvideo", "video/x-avi", "video/vnd.avi"]),
    ("video/mpeg", &["video/mpg", "video/x-mpeg", "video/x-mpg", "video/mpeg2", "video/x-mpeg2"]),
    ("video/x-flv", &["video/flv"]),
    (
        "application/pdf",
        &[
            "application/x-pdf",
            "application/acrobat",
            "application/vnd.pdf",
            "application/nappdf",
            "image/pdf",
            "text/pdf",
            "text/x-pdf",
        ],
    ),
    (
        WORD,
        &[
            "application/x-msword",
            "application/vnd.ms-word",
            "application/vnd.msword",
            "application/word",
            "application/doc",
        ],
    ),
    (
        EXCEL,
        &[
            "application/msexcel",
            "application/x-msexcel",
            "application/x-ms-excel",
            "application/excel",
            "application/x-excel",
            "application/xls",
            "application/x-xls",
        ],
    ),
    (
        "application/vnd.ms-powerpoint",
        &[
            "application/mspowerpoint",
            "application/x-mspowerpoint",
            "application/ms-powerpoint",
            "application/powerpoint",
            "application/x-powerpoint",
        ],
    ),
    ("application/rtf", &["text/rtf", "application/x-rtf"]),
    ("application/zip", &["application/x-zip", "application/x-zip-compressed"]),
    (
        "application/gzip",
        &[
            "application/x-gzip",
            "application/gzipped",
            "application/gzip-compressed",
            "application/x-gunzip",
        ],
    ),
    (
        "application/vnd.rar",
        &["application/x-rar", "application/x-rar-compressed", "application/rar"],
    ),
    ("application/x-bzip2", &["application/bzip2", "application/x-bzip"]),
    (
        "application/vnd.microsoft.portable-executable",
        &[
            "application/x-msdownload",
            "application/x-dosexec",
            "application/x-ms-dos-executable",
            "application/x-exe",
            "application/exe",
            "application/x-winexe",
            "application/dos-exe",
        ],
    ),
    (
        "text/csv",
        &[
            "text/x-csv",
            "application/csv",
            "application/x-csv",
            "text/comma-separated-values",
            "text/x-comma-separated-values",
        ],
    ),
    ("text/vcard", &["text/x-vcard", "text/directory"]),
    ("text/calendar", &["text/x-vcalendar", "application/ics"]),
    ("text/markdown", &["text/x-markdown"]),
    (
        "text/javascript",
        &["application/javascript", "application/x-javascript", "text/x-javascript"],
    ),
    ("text/x-shellscript", &["application/x-sh", "application/x-shellscript", "text/x-sh"]),
    ("application/json", &["text/json", "text/x-json", "application/x-json"]),
    ("application/yaml", &["application/x-yaml", "text/yaml", "text/x-yaml"]),
];

/// Returns the one name of a type: `image/jpeg` for `image/pjpeg`.
pub(super) fn canonical(name: &str) -> &str {
    let known = SPELLINGS.iter().find(|(_, others)| others.contains(&name));
    known.map_or(name, |(canonical, _)| canonical)
}

/// Returns a type's name and its other spellings.
pub(super) fn spellings(name: &str) -> impl Iterator<Item = &str> {
    let others = SPELLINGS.iter().find(|(canonical, _)| *canonical == name);
    let others = others.map_or(&[][..], |(_, others)| others);
    std::iter::once(name).chain(others.iter().copied())
}

/// True for types whose files are text.
pub(super) fn is_text(name: &str) -> bool {
    const TEXTS: [&str; 18] = [
        "application/ecmascript",
        "application/graphql",
        "application/json",
        "application/jsonl",
        "application/mbox",
        "application/pgp-encrypted",
        "application/pgp-keys",
        "application/pgp-signature",
        "application/postscript",
        "application/rtf",
        "application/sql",
        "application/toml",
        "application/x-ndjson",
        "application/x-pem-file",
        "application/x-subrip",
        "application/x-tex",
        "application/xml",
        "application/yaml",
    ];
    let text = name.starts_with("text/") || name.starts_with("message/") || TEXTS.contains(&name);
    let ending = name.ends_with("+json") || name.ends_with("+xml") || name.ends_with("-xml");
    text || (ending && containers(name).is_empty())
}

/// True for types whose programs also open texts: Excel opens CSV, and browsers on Windows call a
/// `.csv` by Excel's type where Excel is installed; both open RTF, HTML and XML under their own
/// endings.
pub(super) fn may_be_text(name: &str) -> bool {
    matches!(name, "application/vnd.ms-excel" | "application/msword")
}

/// True for types of files that run when they are opened.
pub(super) fn is_program(name: &str) -> bool {
    const PROGRAMS: [&str; 18] = [
        "application/java",
        "application/java-vm",
        "application/vnd.android.dex",
        "application/vnd.android.dey",
        "application/vnd.microsoft.portable-executable",
        "application/wasm",
        "application/x-elf",
        "application/x-executable",
        "application/x-java",
        "application/x-llvm",
        "application/x-mach-binary",
        "application/x-msdos-program",
        INSTALLER,
        "application/x-object",
        "application/x-pie-executable",
        "application/x-sharedlib",
        "application/x-shockwave-flash",
        "text/x-shellscript",
    ];
    PROGRAMS.contains(&name)
}

/// True for archives; programs open each whatever it is called.
pub(super) fn is_archive(name: &str) -> bool {
    const ARCHIVES: [&str; 9] = [
        "application/gzip",
        "application/vnd.rar",
        "application/x-7z-compressed",
        "application/x-bzip2",
        "application/x-compress",
        "application/x-tar",
        "application/x-xz",
        "application/zip",
        "application/zstd",
    ];
    ARCHIVES.contains(&name) || containers(name) == [Container::Gzip]
}

/// True for the office documents whose first bytes may show another one of them.
pub(super) fn is_office(name: &str) -> bool {
    name.starts_with("application/vnd.openxmlformats-officedocument.")
        || matches!(name, WORD | EXCEL | "application/vnd.ms-powerpoint")
}

/// A format that the files of several types are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    /// ZIP: office documents since 2007, programs for Java and Android, books.
    Zip,
    /// Microsoft's compound files: office documents till 2003, mails of Outlook, and documents of
    /// today with a password ([MS-OFFCRYPTO
    /// §2.3](https://learn.microsoft.com/en-us/openspecs/office_file_formats/ms-offcrypto/)).
    Compound,
    /// ISO base media: sound, film and pictures.
    IsoMedia,
    /// Matroska, of which WebM is a part.
    Matroska,
    /// Ogg.
    Ogg,
    /// gzip: archives of tar.
    Gzip,
    /// TIFF: cameras' raw pictures.
    Tiff,
}

/// Returns the containers that files of a type may be in; none for a type that this does not tell.
pub(super) fn containers(name: &str) -> &'static [Container] {
    const ZIPPED: [&str; 2] = ["application/vnd.oasis.opendocument.", "application/vnd.sun.xml."];

    match name {
        "application/zip"
        | "application/java-archive"
        | "application/vnd.android.package-archive"
        | "application/vnd.apple.keynote"
        | "application/vnd.apple.numbers"
        | "application/vnd.apple.pages"
        | "application/vnd.google-earth.kmz" => &[Container::Zip],
        "application/x-ole-storage" | "application/vnd.visio" | INSTALLER => &[Container::Compound],
        "audio/mp4"
        | "audio/3gpp"
        | "video/mp4"
        | "video/quicktime"
        | "video/3gpp"
        | "video/3gpp2"
        | "image/heic"
        | "image/heif"
        | "image/heic-sequence"
        | "image/heif-sequence"
        | "image/avif" => &[Container::IsoMedia],
        "audio/webm" | "video/webm" | "audio/matroska" | "video/matroska" => &[Container::Matroska],
        OGG | "video/ogg" => &[Container::Ogg],
        "image/tiff"
        | "image/x-adobe-dng"
        | "image/x-canon-cr2"
        | "image/x-epson-erf"
        | "image/x-hasselblad-3fr"
        | "image/x-kodak-dcr"
        | "image/x-nikon-nef"
        | "image/x-pentax-pef"
        | "image/x-samsung-srw"
        | "image/x-sony-arw"
        | "image/x-sony-sr2" => &[Container::Tiff],
        "application/gzip"
        | "application/x-compressed-tar"
        | "application/x-gtar-compressed"
        | "application/x-tgz" => &[Container::Gzip],
        _ if is_office(name) => &[Container::Zip, Container::Compound],
        // `.xlsm`, `.docm`, `.pptm`, `.xlsb` and their templates; `.vsdx`.
        _ if name.starts_with("application/vnd.ms-") && name.ends_with(".12") => {
            &[Container::Zip, Container::Compound]
        }
        _ if name.starts_with("application/vnd.ms-visio.") => &[Container::Zip],
        _ if name.ends_with("-flat-xml") => &[],
        _ if name.ends_with("+zip") || ZIPPED.iter().any(|family| name.starts_with(family)) => {
            &[Container::Zip]
        }
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_leads_to_one_name_and_no_name_is_a_spelling() {
        for (name, others) in SPELLINGS {
            assert_eq!(canonical(name), *name, "{name} is the spelling of another type");
            for other in *others {
                assert_eq!(canonical(other), *name, "{other}");
            }
        }

        let mut all: Vec<&str> = SPELLINGS.iter().flat_map(|(_, others)| others.to_vec()).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "a spelling is listed twice");
        assert!(count > 130, "{count} spellings");
    }
}
