//! CSV files as spreadsheet programs write and read them: UTF-16, semicolons or tabs between the cells, a line `sep=;`,
//! formulas such as `="00123"` that keep a number as text, empty rows, empty columns, and what such a program does to an id.
use super::columns;
use super::error::ApiError;
use csv::{ByteRecord, ReaderBuilder, Writer, WriterBuilder};

/// Rows looked at; a request with more is refused later.
const MAX_ROWS: usize = crate::domain::limits::MAX_BULK + 1;
/// Numbers with more digits than this are shortened by spreadsheet programs: `4.47812E+13`.
const SHOWN_DIGITS: usize = 11;

/// The file as UTF-8 with commas between the cells, without empty rows and without columns that are empty throughout.
///
/// # Errors
/// 400 if it is UTF-16 that cannot be read, 422 if it has too many columns.
pub(super) fn plain(bytes: &[u8]) -> Result<Vec<u8>, ApiError> {
    let text = utf_8(bytes).map_err(ApiError::malformed)?;
    let (separator, text) = separator(&text);
    // Before anything of it is kept.
    columns::check_width(text, separator)?;
    let mut used: Vec<bool> = Vec::new();
    let mut rows = 0;
    each_row(text, separator, |row| {
        used.resize(used.len().max(row.len()), false);
        used.iter_mut().zip(row).for_each(|(used, cell)| *used |= !cell.is_empty());
        rows += 1;
        rows <= MAX_ROWS
    });
    let mut writer = WriterBuilder::new().flexible(true).from_writer(Vec::with_capacity(text.len()));
    let mut clean = ByteRecord::new();
    let (mut rows, mut written) = (0, Ok(()));
    each_row(text, separator, |row| {
        clean.clear();
        for (_, cell) in used.iter().zip(row).filter(|(used, _)| **used) {
            clean.push_field(&content(cell));
        }
        written = flexible(&mut writer, &clean);
        rows += 1;
        rows <= MAX_ROWS && written.is_ok()
    });
    written.and_then(|()| writer.into_inner().map_err(|_| ())).map_err(|()| ApiError::malformed("The file cannot be read."))
}

/// Writes a row of any length: a row that is too long or too short is reported later, by its number.
fn flexible(writer: &mut Writer<Vec<u8>>, row: &ByteRecord) -> Result<(), ()> {
    row.iter().try_for_each(|cell| writer.write_field(cell)).and_then(|()| writer.write_record(None::<&[u8]>)).map_err(drop)
}

/// Calls `look` with each row that is not empty, its cells trimmed, until it returns false.
fn each_row(text: &[u8], separator: u8, mut look: impl FnMut(&ByteRecord) -> bool) {
    let mut reader = ReaderBuilder::new().delimiter(separator).trim(csv::Trim::All).flexible(true).has_headers(false).from_reader(text);
    let mut row = ByteRecord::new();
    while matches!(reader.read_byte_record(&mut row), Ok(true)) {
        if row.iter().any(|cell| !cell.is_empty()) && !look(&row) {
            return;
        }
    }
}

/// The text in UTF-8, without a byte order mark.
fn utf_8(bytes: &[u8]) -> Result<std::borrow::Cow<'_, [u8]>, String> {
    let zeros = |odd: usize| bytes.iter().skip(odd).step_by(2).take(32).filter(|byte| **byte == 0).count();
    let half = bytes.len().min(64) / 4;
    let unit: fn([u8; 2]) -> u16 = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => return Ok(rest.into()),
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        // Without a mark: every other byte of mostly Latin text is zero.
        _ if bytes.len() >= 8 && zeros(1) > half && zeros(0) == 0 => u16::from_le_bytes,
        _ if bytes.len() >= 8 && zeros(0) > half && zeros(1) == 0 => u16::from_be_bytes,
        _ => return Ok(bytes.into()),
    };
    let units = bytes.chunks_exact(2).filter_map(|pair| <[u8; 2]>::try_from(pair).ok()).map(unit);
    let text: Result<String, _> = char::decode_utf16(units).collect();
    let text = text.map_err(|_| "The file is UTF-16 that cannot be read. Save it as CSV UTF-8.".to_owned())?;
    Ok(text.trim_start_matches('\u{feff}').as_bytes().to_vec().into())
}

/// What separates the cells, and the text without a first line that says so (`sep=;`). Otherwise it is what the header has.
fn separator(text: &[u8]) -> (u8, &[u8]) {
    let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    let (line, rest) = text.split_at(end);
    if let [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', separator @ (b',' | b';' | b'\t' | b'|'), ..] = line.trim_ascii_end() {
        return (*separator, rest);
    }
    if line.get(..5) == Some(b"sep=\t") {
        return (b'\t', rest);
    }
    let (mut quoted, mut found) = (false, b',');
    let mut most = 0;
    for candidate in [b',', b';', b'\t'] {
        let count = line.iter().filter(|byte| {
            quoted ^= **byte == b'"';
            **byte == candidate && !quoted
        });
        let count = count.count();
        quoted = false;
        if count > most {
            (found, most) = (candidate, count);
        }
    }
    (found, text)
}

/// What a cell says: a formula that only keeps its text from being taken for a number stands for that text.
fn content(cell: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    match cell.strip_prefix(b"=\"").and_then(|rest| rest.strip_suffix(b"\"")) {
        Some(text) if text.contains(&b'"') => String::from_utf8_lossy(text).replace("\"\"", "\"").into_bytes().into(),
        Some(text) => text.into(),
        None => cell.into(),
    }
}

/// Whether a spreadsheet program has shortened a number beyond recognition: `4.47812E+13`.
pub(super) fn is_shortened(text: &str) -> bool {
    let Some((digits, power)) = text.split_once("E+").or_else(|| text.split_once("e+")) else { return false };
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = digits.split_once(['.', ',']).unwrap_or((digits, "0"));
    is_digits(whole) && is_digits(fraction) && is_digits(power)
}

/// What is wrong with such a cell.
pub(super) const SHORTENED: &str =
    "is a number that a spreadsheet has shortened; format the column as text, enter the whole number, and save the file again";

/// A cell that a spreadsheet program shows and saves as it is. Text that it would change or run as a formula is written as
/// a formula that only states it, which [`plain`] understands.
pub(super) fn cell(text: &str) -> String {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty();
    let loses_digits = is_number && (text.len() > SHOWN_DIGITS || (text.len() > 1 && text.starts_with('0')));
    let is_formula = text.starts_with(['=', '+', '-', '@']) || text.starts_with(['\t', '\r']);
    let is_scientific = text.bytes().any(|byte| matches!(byte, b'e' | b'E')) && text.parse::<f64>().is_ok();
    if loses_digits || is_formula || is_scientific { format!("=\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> String {
        String::from_utf8(plain(bytes).unwrap()).unwrap()
    }

    const PLAIN: &str = "sku,external_id\nA,1\n";

    #[test]
    fn separators_marks_and_encodings_of_spreadsheets_are_understood() {
        for text in [
            PLAIN,
            "\u{feff}sku,external_id\r\nA,1\r\n",
            "sku;external_id\nA;1\n",
            "sku\texternal_id\nA\t1\n",
            "sep=;\r\nsku;external_id\r\nA;1\r\n",
            "sep=\t\nsku\texternal_id\nA\t1",
            "\"sku\";\"external_id\"\nA;1",
            "sku,external_id,,\nA,1,,\n,,,\n\n",
            ",sku,,external_id\n,A,,1\n",
            " sku , external_id \n A , 1 ",
        ] {
            assert_eq!(read(text.as_bytes()), PLAIN, "{text:?}");
            let wide = |order: fn(u16) -> [u8; 2]| -> Vec<u8> { text.encode_utf16().flat_map(order).collect() };
            for bytes in [wide(u16::to_le_bytes), wide(u16::to_be_bytes)] {
                assert_eq!(read(&bytes), PLAIN, "{text:?}");
            }
        }
        assert_eq!(read("sku;name\n\"A;B\";\"C,D\"\n".as_bytes()), "sku,name\nA;B,\"C,D\"\n");
        assert!(plain(&[0xff, 0xfe, 0x00, 0xd8, b'a', 0]).is_err(), "half a character");
        assert_eq!(plain(b"sku,external_id\n\xff\xfe,x\n").unwrap(), b"sku,external_id\n\xff\xfe,x\n", "left for the row to report");
    }

    #[test]
    fn rows_of_other_lengths_stay_as_they_are() {
        assert_eq!(read(b"sku,external_id\nB\nC,c,extra\n,d\n\"E\nF,f\n"), "sku,external_id\nB\nC,c,extra\n,d\n\"E\nF,f\"\n");
    }

    #[test]
    fn text_that_a_spreadsheet_would_change_survives_the_way_out_and_back() {
        for text in
            ["00123", "0", "12345", "44781234567890", "=1+2", "+49 30", "-5", "@x", "A\"B", "=\"x\"", "1E5", "ABC-1", "赤", "5e", "E5"]
        {
            let mut writer = Writer::from_writer(Vec::new());
            writer.write_record(["sku", "external_id"]).unwrap();
            writer.write_record([cell(text).as_str(), "1"]).unwrap();
            let file = writer.into_inner().unwrap();
            let mut reader = csv::Reader::from_reader(std::io::Cursor::new(plain(&file).unwrap()));
            let row = reader.records().next().unwrap().unwrap();
            assert_eq!(&row[0], text);
        }
        assert_eq!(cell("00123"), "=\"00123\"");
        assert_eq!([cell("12345"), cell("ABC-1"), cell("0")], ["12345", "ABC-1", "0"]);
    }

    #[test]
    fn a_shortened_number_is_recognized() {
        for text in ["4.47812E+13", "4,47812E+13", "4E+13", "1.2e+05"] {
            assert!(is_shortened(text), "{text}");
        }
        for text in ["447812", "E+13", "4E13", "A4E+13", "4.E+13", "1E+", "SIZE+1"] {
            assert!(!is_shortened(text), "{text}");
        }
    }
}
