//! From a logo that somebody else made to a small PNG of our own: only pixels come through.
//!
//! PNG and JPEG are read, within bounds that are checked before anything is decoded (a file of a few bytes can claim a picture of gigabytes). Animations
//! are refused: what moves draws the eye from the question. Text, colour profiles, position data and whatever else a file carries is dropped, because the
//! pixels are encoded anew. SVG is not read: it is a document with scripts and references.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// The longest side of a logo that is read, in pixels, and the shortest.
const LONGEST_SIDE: usize = 2048;
const SHORTEST_SIDE: usize = 16;
/// The side of the square that a logo is fitted into; twice what the page shows, for fine screens.
const SIDE: usize = 128;
/// The most memory that reading a PNG takes beside its pixels, in bytes.
const DECODER_BYTES: usize = 24 * 1024 * 1024;
/// The most passes of a progressive JPEG.
const MAXIMUM_SCANS: usize = 64;

/// Why a file is no logo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoError {
    /// Neither PNG nor JPEG.
    #[error("the file is neither PNG nor JPEG")]
    Format,
    /// Too large or too small a picture.
    #[error("a logo has sides of {SHORTEST_SIDE} to {LONGEST_SIDE} pixels")]
    Dimensions,
    /// Several frames.
    #[error("the picture is animated")]
    Animated,
    /// The file is damaged.
    #[error("the picture cannot be read")]
    Damaged,
}

/// A picture of red, green, blue and opacity.
struct Pixels {
    width: usize,
    height: usize,
    rgba: Vec<u8>,
}

/// The logo as a PNG of ours.
pub fn reencoded(file: &[u8]) -> Result<Vec<u8>, LogoError> {
    let pixels = match file {
        [0x89, b'P', b'N', b'G', ..] => read_png(file)?,
        [0xFF, 0xD8, 0xFF, ..] => read_jpeg(file)?,
        _ => return Err(LogoError::Format),
    };
    write_png(&fitted(&pixels)).ok_or(LogoError::Damaged)
}

fn check_size(width: usize, height: usize) -> Result<(), LogoError> {
    let sides = SHORTEST_SIDE..=LONGEST_SIDE;
    if sides.contains(&width) && sides.contains(&height) { Ok(()) } else { Err(LogoError::Dimensions) }
}

fn read_png(file: &[u8]) -> Result<Pixels, LogoError> {
    let damaged = |_| LogoError::Damaged;
    let mut decoder = png::Decoder::new_with_limits(std::io::Cursor::new(file), png::Limits { bytes: DECODER_BYTES });
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(png::Transformations::normalize_to_color8() | png::Transformations::ALPHA);
    let header = decoder.read_header_info().map_err(damaged)?;
    let size = |side: u32| usize::try_from(side).unwrap_or(usize::MAX);
    let (width, height) = (size(header.width), size(header.height));
    check_size(width, height)?;
    let mut reader = decoder.read_info().map_err(damaged)?;
    if reader.info().animation_control.is_some() {
        return Err(LogoError::Animated);
    }
    let mut bytes = vec![0; reader.output_buffer_size().ok_or(LogoError::Damaged)?];
    let frame = reader.next_frame(&mut bytes).map_err(damaged)?;
    bytes.truncate(frame.buffer_size());
    let rgba: Vec<u8> = match frame.color_type {
        png::ColorType::Rgba => bytes,
        png::ColorType::GrayscaleAlpha => {
            bytes.as_chunks::<2>().0.iter().flat_map(|[gray, alpha]| [*gray, *gray, *gray, *alpha]).collect()
        }
        _ => return Err(LogoError::Damaged),
    };
    Ok(Pixels { width, height, rgba })
}

fn read_jpeg(file: &[u8]) -> Result<Pixels, LogoError> {
    let options = DecoderOptions::default()
        .set_max_width(LONGEST_SIDE)
        .set_max_height(LONGEST_SIDE)
        .jpeg_set_max_scans(MAXIMUM_SCANS)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
    let read = decoder.decode_headers();
    // The size is known before the headers are judged: too large is told from damaged.
    if let Some(info) = decoder.info() {
        check_size(usize::from(info.width), usize::from(info.height))?;
    }
    read.map_err(|_| LogoError::Damaged)?;
    let info = decoder.info().ok_or(LogoError::Damaged)?;
    let rgb = decoder.decode().map_err(|_| LogoError::Damaged)?;
    let rgba = rgb.as_chunks::<3>().0.iter().flat_map(|[red, green, blue]| [*red, *green, *blue, 255]).collect();
    Ok(Pixels { width: usize::from(info.width), height: usize::from(info.height), rgba })
}

/// The picture in a square, in the middle, with its sides in proportion. Each pixel is the mean of those that it stands for, opacity counted.
fn fitted(from: &Pixels) -> Pixels {
    let longest = from.width.max(from.height);
    let side = longest.min(SIDE);
    let scaled = |length: usize| (length * side / longest).max(1);
    let (width, height) = (scaled(from.width), scaled(from.height));
    let (left, top) = ((side - width) / 2, (side - height) / 2);
    let mut rgba = vec![0; side * side * 4];
    let (rows, _) = rgba.as_chunks_mut::<4>();
    for y in 0..height {
        for x in 0..width {
            let columns = x * from.width / width..((x + 1) * from.width / width).max(x * from.width / width + 1);
            let lines = y * from.height / height..((y + 1) * from.height / height).max(y * from.height / height + 1);
            if let Some(pixel) = rows.get_mut((top + y) * side + left + x) {
                *pixel = mean(from, columns, lines);
            }
        }
    }
    Pixels { width: side, height: side, rgba }
}

fn mean(from: &Pixels, columns: std::ops::Range<usize>, lines: std::ops::Range<usize>) -> [u8; 4] {
    let (mut colours, mut opacity, mut count) = ([0_u64; 3], 0_u64, 0_u64);
    let (pixels, _) = from.rgba.as_chunks::<4>();
    for line in lines {
        for [red, green, blue, alpha] in columns.clone().filter_map(|column| pixels.get(line * from.width + column)) {
            let weight = u64::from(*alpha);
            for (sum, part) in colours.iter_mut().zip([red, green, blue]) {
                *sum += u64::from(*part) * weight;
            }
            opacity += weight;
            count += 1;
        }
    }
    let part = |sum: u64, of: u64| u8::try_from(sum.checked_div(of).unwrap_or(0)).unwrap_or(255);
    let [red, green, blue] = colours.map(|sum| part(sum, opacity));
    [red, green, blue, part(opacity, count)]
}

fn write_png(pixels: &Pixels) -> Option<Vec<u8>> {
    let mut output = Vec::new();
    let mut encoder = png::Encoder::new(&mut output, u32::try_from(pixels.width).ok()?, u32::try_from(pixels.height).ok()?);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(&pixels.rgba).ok()?;
    writer.finish().ok()?;
    Some(output)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A PNG of one colour, with a comment.
    pub(crate) fn one_colour(width: u32, height: u32, colour: [u8; 4]) -> Vec<u8> {
        let mut output = Vec::new();
        let mut encoder = png::Encoder::new(&mut output, width, height);
        encoder.set_color(png::ColorType::Rgba);
        encoder.add_text_chunk("Comment".to_owned(), "<script>alert(1)</script>".to_owned()).unwrap();
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&colour.repeat(usize::try_from(width * height).unwrap())).unwrap();
        writer.finish().unwrap();
        output
    }

    /// A PNG whose header claims a size, without the pixels.
    fn claiming(width: u32, height: u32) -> Vec<u8> {
        let mut file = one_colour(16, 16, [0; 4]);
        file[16..20].copy_from_slice(&width.to_be_bytes());
        file[20..24].copy_from_slice(&height.to_be_bytes());
        let mut crc = flate_crc(&file[12..29]).to_be_bytes();
        file[29..33].swap_with_slice(&mut crc);
        file
    }

    fn flate_crc(bytes: &[u8]) -> u32 {
        let step = |crc: u32, byte: &u8| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 })
        };
        !bytes.iter().fold(u32::MAX, step)
    }

    fn decoded(png: &[u8]) -> Pixels {
        read_png(png).unwrap()
    }

    #[test]
    fn a_logo_becomes_a_small_square_png_with_nothing_but_pixels() {
        let file = one_colour(400, 200, [200, 30, 40, 255]);
        assert!(file.windows(6).any(|part| part == b"script"));
        let png = reencoded(&file).unwrap();
        assert!(!png.windows(6).any(|part| part == b"script"));
        let pixels = decoded(&png);
        assert_eq!((pixels.width, pixels.height), (SIDE, SIDE));
        let at = |x: usize, y: usize| &pixels.rgba[(y * SIDE + x) * 4..][..4];
        assert_eq!(at(64, 64), [200, 30, 40, 255]);
        assert_eq!(at(64, 5), [0, 0, 0, 0], "what the picture does not fill is clear");
        let small = decoded(&reencoded(&one_colour(16, 16, [1, 2, 3, 128])).unwrap());
        assert_eq!((small.width, &small.rgba[..4]), (16, &[1, 2, 3, 128][..]), "nothing is blown up");
    }

    #[test]
    fn a_picture_of_another_size_is_refused_before_it_is_decoded() {
        for (width, height) in [(50_000, 50_000), (2049, 16), (16, 2049), (15, 100), (100, 1), (u32::MAX >> 1, 1)] {
            assert_eq!(reencoded(&claiming(width, height)), Err(LogoError::Dimensions), "{width} x {height}");
        }
        assert_eq!(reencoded(&claiming(2048, 2048)), Err(LogoError::Damaged), "the pixels are missing");
        // The start of a JPEG with a frame of 60,000 by 60,000.
        let jpeg = [
            &[0xFF, 0xD8, 0xFF, 0xC0, 0x00, 0x11, 0x08, 0xEA, 0x60, 0xEA, 0x60, 0x03][..],
            &[0x01, 0x22, 0x00, 0x02, 0x11, 0x01, 0x03, 0x11, 0x01, 0xFF, 0xDA, 0x00, 0x0C],
        ];
        assert!(reencoded(&jpeg.concat()).is_err());
    }

    #[test]
    fn animations_other_formats_and_damaged_files_are_refused() {
        let mut output = Vec::new();
        let mut encoder = png::Encoder::new(&mut output, 16, 16);
        encoder.set_color(png::ColorType::Rgba);
        encoder.set_animated(2, 0).unwrap();
        let mut writer = encoder.write_header().unwrap();
        for _ in 0..2 {
            writer.write_image_data(&[0; 16 * 16 * 4]).unwrap();
        }
        writer.finish().unwrap();
        assert_eq!(reencoded(&output), Err(LogoError::Animated));
        for file in [&b""[..], b"GIF89a", b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", b"RIFF....WEBP", b"<html>", b"BM"] {
            assert_eq!(reencoded(file), Err(LogoError::Format), "{file:?}");
        }
        let whole = one_colour(64, 64, [9; 4]);
        for length in [4, 8, 20, 33, 60, whole.len() - 30] {
            assert_eq!(reencoded(&whole[..length]), Err(LogoError::Damaged), "{length}");
        }
        assert!(reencoded(&[0xFF, 0xD8, 0xFF, 0xE0, 0, 0]).is_err());
    }
}
