//! Everything but the RIFF family: Symphonia demuxes and decodes, `ropus` decodes Opus.
//!
//! What Symphonia leaves open is closed here: MP4 edit lists, MP3 padding and cut frames, Opus
//! pre-skip, Matroska's padding, streams that end early, panics on damaged data.

use std::sync::Arc;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;

use super::container::Container;
use super::guard::guarded;
use super::options::OpenOptions;
use super::opus::{self, OpusDecoder};
use super::planes::Planes;
use super::source::{ByteReader, Watch, read_error};
use super::stream::{AudioInfo, Decoder, Opened};
use super::trim::Trim;
use super::{Limits, RecordingMeta, matroska, mp4, mpeg};
use crate::{Error, Result};

/// Opens a container that Symphonia demuxes.
///
/// # Errors
/// [`Error::Decode`] for damage, [`Error::UnsupportedCodec`] without a decoder or a sound track.
pub(super) fn open(
    name: &Arc<str>,
    mut reader: ByteReader,
    container: Container,
    options: &OpenOptions,
) -> Result<Opened> {
    let watch = reader.watch();
    let failed = |error: &std::io::Error| read_error(name, &watch, &options.limits, error);
    if matches!(container, Container::Mp4 | Container::Caf) {
        // Both may keep their tables behind the sound.
        reader.spool().map_err(|e| failed(&e))?;
    }
    let edits = match container {
        Container::Mp4 => mp4::edits(&mut reader).map_err(|e| failed(&e))?,
        _ => Vec::new(),
    };
    if matches!(container, Container::Mpeg | Container::Adts) {
        restrict_mpeg(&mut reader).map_err(|e| failed(&e))?;
    }
    if matches!(container, Container::Mpeg | Container::Matroska) {
        watch.keep_tail();
    }
    let stream = MediaSourceStream::new(Box::new(reader), MediaSourceStreamOptions::default());
    let context = Context {
        name: Arc::clone(name),
        container,
        watch: Arc::clone(&watch),
        limits: options.limits,
    };
    let format = guarded(name, || {
        symphonia::default::get_probe().probe(
            &Hint::new(),
            stream,
            FormatOptions::default(),
            MetadataOptions::default(),
        )
    })?
    .map_err(|error| context.header_error(&error))?;
    let track = sound_track(&context, format.as_ref())?.clone();
    let edit = edits.into_iter().find(|edit| edit.track_id == track.id);
    let mut decoder = PacketDecoder::new(context, format, &track, edit)?;
    let info = decoder.first_block(&track)?;
    let lfe = decoder.lfe.clone();
    Ok(Opened {
        decoder: Box::new(decoder),
        info,
        lfe,
    })
}

/// Keeps tags at the end out of the stream, and keeps Symphonia from guessing the length of a
/// stream without a header from its first frames: the guess cuts variable bit rates short.
fn restrict_mpeg(reader: &mut ByteReader) -> std::io::Result<()> {
    let end = match reader.len() {
        Some(len) if reader.can_seek() => {
            let end = mpeg::audio_end(reader, len)?;
            std::io::Seek::seek(reader, std::io::SeekFrom::Start(0))?;
            Some(end)
        }
        _ => None,
    };
    reader.restrict(end);
    Ok(())
}

/// The track to decode: the default sound track.
fn sound_track<'a>(context: &Context, format: &'a dyn FormatReader) -> Result<&'a Track> {
    format.default_track(TrackType::Audio).ok_or_else(|| {
        let kinds = format.tracks().len();
        match format.first_track(TrackType::Audio) {
            Some(_) => context.unsupported("the codec of its sound track"),
            None => Error::Decode {
                name: context.name.to_string(),
                reason: format!(
                    "{} file has {kinds} tracks and no sound that is read here",
                    context.container
                ),
            },
        }
    })
}

/// What error messages need.
struct Context {
    name: Arc<str>,
    container: Container,
    watch: Arc<Watch>,
    limits: Limits,
}

impl Context {
    fn unsupported(&self, codec: &str) -> Error {
        Error::UnsupportedCodec {
            name: self.name.to_string(),
            codec: codec.to_owned(),
        }
    }

    fn damaged(&self, reason: String) -> Error {
        Error::Decode {
            name: self.name.to_string(),
            reason,
        }
    }

    fn truncated(&self, found_secs: f64, reason: String) -> Error {
        Error::Truncated {
            name: self.name.to_string(),
            found_secs,
            reason,
        }
    }

    fn was_refused(&self) -> bool {
        self.watch.refusal().is_some() || self.watch.io_error().is_some()
    }

    /// An error while the header was read.
    fn header_error(&self, error: &SymphoniaError) -> Error {
        match error {
            SymphoniaError::IoError(e) if self.was_refused() || !is_end(e) => {
                read_error(&self.name, &self.watch, &self.limits, e)
            }
            SymphoniaError::IoError(_) => self.truncated(
                0.0,
                format!("the file ends inside its {} header", self.container),
            ),
            other => self.damaged(format!(
                "{} header is damaged: {}",
                self.container,
                said(other)
            )),
        }
    }

    /// An error after `secs` of sound.
    fn body_error(&self, secs: f64, error: &SymphoniaError) -> Error {
        match error {
            SymphoniaError::IoError(e) if self.was_refused() || !is_end(e) => {
                read_error(&self.name, &self.watch, &self.limits, e)
            }
            SymphoniaError::IoError(_) => self.truncated(
                secs,
                format!("the {} stream has no proper end", self.container),
            ),
            other => self.damaged(format!("damaged after {secs:.3} s: {}", said(other))),
        }
    }
}

fn is_end(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::UnexpectedEof
}

/// Symphonia's reason without its preamble.
fn said(error: &SymphoniaError) -> String {
    match error {
        SymphoniaError::DecodeError(what)
        | SymphoniaError::Unsupported(what)
        | SymphoniaError::LimitError(what) => (*what).to_owned(),
        other => other.to_string(),
    }
}

enum Codec {
    Symphonia(Box<dyn AudioDecoder>),
    Opus(Box<OpusDecoder>),
}

struct PacketDecoder {
    context: Context,
    format: Box<dyn FormatReader>,
    codec: Codec,
    track_id: u32,
    trim: Trim,
    lfe: Vec<usize>,
    sample_rate: u32,
    n_channels: usize,
    /// Samples per channel that the header promises, before and after trimming.
    promised: Option<u64>,
    n_given: u64,
    /// The first block, decoded at opening.
    waiting: Option<Planes>,
    last_packet: Vec<u8>,
    /// One packet ahead, in Matroska: only behind the last one lies what is to be cut off it.
    ahead: Option<Packet>,
    /// Samples to cut off the packet that is decoded next.
    cut: u64,
    /// The length in seconds that the container states for all its tracks.
    stated_secs: Option<f64>,
    ended: bool,
}

impl PacketDecoder {
    fn new(
        context: Context,
        format: Box<dyn FormatReader>,
        track: &Track,
        edit: Option<mp4::Edit>,
    ) -> Result<Self> {
        let codec = make_codec(&context, track)?;
        let (trim, promised) = trimming(&context, track, edit, &codec);
        Ok(Self {
            codec,
            track_id: track.id,
            trim,
            lfe: Vec::new(),
            sample_rate: 0,
            n_channels: 0,
            promised,
            n_given: 0,
            waiting: None,
            last_packet: Vec::new(),
            ahead: None,
            cut: 0,
            stated_secs: media_secs(format.as_ref()),
            ended: false,
            context,
            format,
        })
    }

    /// Decodes the first block, which says what the header only claims: rate and channels.
    fn first_block(&mut self, track: &Track) -> Result<AudioInfo> {
        let mut planes = Planes::default();
        let mut more = true;
        while more && self.n_channels == 0 {
            more = self.step(&mut planes)?;
        }
        let (params, codec) = (audio_params(track), self.codec_name());
        if self.n_channels == 0 {
            self.sample_rate = params.and_then(|p| p.sample_rate).unwrap_or(0);
            self.n_channels = params
                .and_then(|p| p.channels.as_ref())
                .map_or(0, |c| c.count());
        }
        self.waiting = (planes.n_samples() > 0).then_some(planes);
        let rate = f64::from(self.sample_rate.max(1));
        let duration_secs = match self.promised {
            Some(n) => Some(n as f64 / rate),
            // Ogg's granule positions count the pre-skip.
            None => self
                .stated_secs
                .map(|secs| secs - pre_skip_secs(&self.codec, self.context.container)),
        };
        Ok(AudioInfo {
            container: self.context.container,
            codec,
            sample_rate: self.sample_rate,
            n_channels: self.n_channels,
            duration_secs,
            metadata: RecordingMeta::default(),
        })
    }

    fn codec_name(&self) -> String {
        match &self.codec {
            Codec::Symphonia(decoder) => decoder.codec_info().long_name.to_owned(),
            Codec::Opus(_) => "Opus".to_owned(),
        }
    }

    fn secs(&self) -> f64 {
        self.n_given as f64 / f64::from(self.sample_rate.max(1))
    }

    /// The next packet of the track; `None` at the end.
    fn next_packet(&mut self) -> Result<Option<Packet>> {
        if self.context.container != Container::Matroska {
            return self.demux();
        }
        let packet = match self.ahead.take() {
            Some(packet) => Some(packet),
            None => self.demux()?,
        };
        if let Some(packet) = &packet {
            self.ahead = self.demux()?;
            if self.ahead.is_none() {
                let nanos = matroska::discard_padding(&self.context.watch.tail(), &packet.data);
                let rate = u128::from(self.sample_rate.max(1));
                let samples = (u128::from(nanos) * rate + 500_000_000) / 1_000_000_000;
                self.cut = u64::try_from(samples).unwrap_or(0);
            }
        }
        Ok(packet)
    }

    /// The next packet as the container has it.
    fn demux(&mut self) -> Result<Option<Packet>> {
        loop {
            let name = Arc::clone(&self.context.name);
            match guarded(&name, || self.format.next_packet())? {
                Ok(Some(packet)) if packet.track_id == self.track_id => {
                    self.context.watch.packet();
                    return Ok(Some(packet));
                }
                Ok(Some(_)) => self.context.watch.packet(),
                Ok(None) => return Ok(None),
                // A chained Ogg stream: the next link has its own headers.
                Err(SymphoniaError::ResetRequired) => self.restart()?,
                // Matroska in a pipe: its demuxer cannot see the end coming. Whether it came too
                // early follows from the stated length.
                Err(SymphoniaError::IoError(error))
                    if self.context.container == Container::Matroska
                        && is_end(&error)
                        && !self.context.was_refused() =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(self.context.body_error(self.secs(), &error)),
            }
        }
    }

    fn restart(&mut self) -> Result<()> {
        let track = sound_track(&self.context, self.format.as_ref())?.clone();
        self.codec = make_codec(&self.context, &track)?;
        self.track_id = track.id;
        (self.trim, self.promised) = trimming(&self.context, &track, None, &self.codec);
        // The promise of a link says nothing about the whole.
        self.promised = None;
        Ok(())
    }

    /// Decodes one packet into `planes`; `false` at the end.
    fn step(&mut self, planes: &mut Planes) -> Result<bool> {
        planes.clear();
        if self.ended || self.trim.is_exhausted() {
            return Ok(false);
        }
        let Some(packet) = self.next_packet()? else {
            self.ended = true;
            self.check_end()?;
            return Ok(false);
        };
        let spec = self.decode_packet(&packet, planes)?;
        self.check_spec(spec)?;
        if self.cut > 0 {
            let cut = usize::try_from(self.cut).unwrap_or(usize::MAX);
            planes.truncate(planes.n_samples().saturating_sub(cut));
        }
        self.trim.apply(planes);
        self.n_given += planes.n_samples() as u64;
        if self.context.container == Container::Mpeg {
            self.last_packet.clear();
            self.last_packet.extend_from_slice(&packet.data);
        }
        Ok(true)
    }

    /// Decodes one packet; returns its rate and number of channels.
    fn decode_packet(&mut self, packet: &Packet, planes: &mut Planes) -> Result<(u32, usize)> {
        let secs = self.secs();
        let (name, context) = (&self.context.name, &self.context);
        match &mut self.codec {
            Codec::Opus(decoder) => {
                guarded(name, || decoder.decode(&packet.data, planes))?.map_err(|what| {
                    context.damaged(format!("damaged after {secs:.3} s: {what}"))
                })?;
                let cut = usize::try_from(packet.trim_end.get()).unwrap_or(usize::MAX);
                planes.truncate(planes.n_samples().saturating_sub(cut));
                self.lfe.clone_from(&decoder.lfe);
                Ok((opus::SAMPLE_RATE, decoder.n_channels()))
            }
            Codec::Symphonia(decoder) => {
                let lfe = &mut self.lfe;
                guarded(name, || {
                    let buffer = decoder.decode(packet)?;
                    buffer.copy_to_vecs_planar::<f32>(&mut planes.channels);
                    let spec = buffer.spec();
                    *lfe = lfe_channels(context.container, spec.channels());
                    Ok((spec.rate(), spec.channels().count()))
                })?
                .map_err(|error| context.body_error(secs, &error))
            }
        }
    }

    fn check_spec(&mut self, (rate, n_channels): (u32, usize)) -> Result<()> {
        if n_channels == 0 || (self.n_channels, self.sample_rate) == (n_channels, rate) {
            return Ok(());
        }
        if self.n_channels == 0 {
            (self.n_channels, self.sample_rate) = (n_channels, rate);
            return Ok(());
        }
        Err(self.context.damaged(format!(
            "sound changes after {:.3} s from {} Hz and {} channels to {rate} Hz and {n_channels}",
            self.secs(),
            self.sample_rate,
            self.n_channels
        )))
    }

    /// Whether the stream ended where it should.
    fn check_end(&self) -> Result<()> {
        let secs = |n: u64| n as f64 / f64::from(self.sample_rate.max(1));
        if self.context.container == Container::Mpeg
            && mpeg::ends_inside_a_frame(&self.context.watch.tail(), &self.last_packet)
        {
            return Err(self
                .context
                .truncated(self.secs(), "it ends inside a frame".to_owned()));
        }
        if let (Container::Matroska, Some(stated)) = (self.context.container, self.stated_secs)
            && self.format.tracks().len() == 1
            && self.secs() + 0.25 < stated
        {
            let promise = format!("its header promises {stated:.3} s");
            return Err(self.context.truncated(self.secs(), promise));
        }
        // Encoders of MPEG audio disagree on whether the header's frame counts itself.
        let tolerance = match self.context.container {
            Container::Mpeg => 1_152,
            // FFmpeg counts the last packet of compressed sound as full.
            Container::Caf if !self.codec_name().contains("PCM") => 4_096,
            _ => 0,
        };
        match self.promised {
            Some(promised) if self.n_given + tolerance < promised => Err(self.context.truncated(
                self.secs(),
                format!("its header promises {:.3} s", secs(promised)),
            )),
            _ => Ok(()),
        }
    }
}

impl Decoder for PacketDecoder {
    fn decode(&mut self, planes: &mut Planes) -> Result<bool> {
        if let Some(waiting) = self.waiting.take() {
            *planes = waiting;
            return Ok(true);
        }
        self.step(planes)
    }
}

fn audio_params(track: &Track) -> Option<&AudioCodecParameters> {
    match &track.codec_params {
        Some(CodecParameters::Audio(params)) => Some(params),
        _ => None,
    }
}

fn make_codec(context: &Context, track: &Track) -> Result<Codec> {
    let params = audio_params(track).ok_or_else(|| context.unsupported("a track without codec"))?;
    if params.codec == CODEC_ID_OPUS {
        let header = params.extra_data.as_deref().unwrap_or_default();
        let decoder = OpusDecoder::new(header).map_err(|what| context.damaged(what))?;
        return Ok(Codec::Opus(Box::new(decoder)));
    }
    // MPEG audio is trimmed here, where a wrong header can be told from a right one.
    let gapless = context.container != Container::Mpeg;
    let decoder_options = AudioDecoderOptions::default().gapless(gapless);
    let made = guarded(&context.name, || {
        symphonia::default::get_codecs().make_audio_decoder(params, &decoder_options)
    })?;
    made.map(Codec::Symphonia).map_err(|error| match error {
        SymphoniaError::Unsupported(_) => context.unsupported(&format!("codec {}", params.codec)),
        other => context.damaged(format!("codec header is damaged: {}", said(&other))),
    })
}

/// How the decoded stream is trimmed, and how many samples it should then give.
fn trimming(
    context: &Context,
    track: &Track,
    edit: Option<mp4::Edit>,
    codec: &Codec,
) -> (Trim, Option<u64>) {
    if let Codec::Opus(decoder) = codec {
        return (Trim::front(decoder.pre_skip), None);
    }
    let rate = audio_params(track).and_then(|params| params.sample_rate);
    match (context.container, edit, track.num_frames) {
        (Container::Mpeg, _, Some(n)) => {
            let delay = track.delay.unwrap_or(0);
            // Without a stated delay the header knows nothing of padding either.
            let trim = match track.delay {
                Some(_) => Trim::padded(u64::from(delay), n, u64::from(track.padding.unwrap_or(0))),
                None => Trim::default(),
            };
            (trim, Some(n))
        }
        (Container::Mp4, Some(edit), stored) if rate == Some(edit.time_scale) => {
            let rest = stored.map(|n| n.saturating_sub(edit.start));
            let length = match (edit.length, rest) {
                (Some(length), Some(rest)) => Some(length.min(rest)),
                (length, rest) => length.or(rest),
            };
            let trim = match length {
                Some(length) => Trim::exactly(edit.start, length),
                None => Trim::front(edit.start),
            };
            (trim, length)
        }
        (Container::Mpeg | Container::Matroska, _, _) => (Trim::default(), None),
        (_, _, promised) => (Trim::default(), promised.filter(|&n| n > 0)),
    }
}

/// The indices of the channels of low-frequency effects.
fn lfe_channels(container: Container, channels: &symphonia::core::audio::Channels) -> Vec<usize> {
    use symphonia::core::audio::{Channels, Position};
    match channels {
        // The demuxers of these assume positions where the file states none.
        _ if matches!(container, Container::Aiff | Container::Caf) => Vec::new(),
        Channels::Positioned(positions) => [Position::LFE1, Position::LFE2]
            .into_iter()
            .filter(|lfe| positions.contains(*lfe))
            .map(|lfe| (positions.bits() & (lfe.bits() - 1)).count_ones() as usize)
            .collect(),
        _ => Vec::new(),
    }
}

/// The seconds of pre-skip that the stated length of an Ogg Opus stream contains.
fn pre_skip_secs(codec: &Codec, container: Container) -> f64 {
    match (codec, container) {
        (Codec::Opus(decoder), Container::Ogg) => {
            decoder.pre_skip as f64 / f64::from(opus::SAMPLE_RATE)
        }
        _ => 0.0,
    }
}

/// The duration that the container states for the whole.
fn media_secs(format: &dyn FormatReader) -> Option<f64> {
    let info = format.media_info();
    let secs = info.time_base?.calc_duration(info.duration?)?.as_secs_f64();
    (secs > 0.0).then_some(secs)
}
