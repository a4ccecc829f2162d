//! The library's scores in, rows of the wished kind out: clips, segments, events or embeddings.

use crate::tagger::{ClipScores, Event, EventMerger, SegmentScores, Selection, Tag};

use super::Row;

/// What rows hold.
#[derive(Debug, Clone)]
pub enum Content {
    /// Tags that a selection lets through.
    Tags(Selection),
    /// Tags of neighbouring segments merged, bridging gaps of so many seconds.
    Events(Selection, f64),
    /// The network's embedding.
    Embeddings,
}

/// Makes the rows of one recording after the other.
#[derive(Debug)]
pub struct RowMaker {
    content: Content,
    timeline: bool,
    /// Whether channels are tagged one by one and rows say which.
    each_channel: bool,
    mergers: Vec<EventMerger>,
}

impl RowMaker {
    /// Rows of `content`: per segment with `timeline`, else per recording; with `each_channel` they
    /// name their channel.
    pub fn new(content: Content, timeline: bool, each_channel: bool) -> Self {
        Self {
            content,
            timeline,
            each_channel,
            mergers: Vec::new(),
        }
    }

    /// Whether rows are made from segments.
    pub fn wants_timeline(&self) -> bool {
        self.timeline
    }

    /// Begins a recording.
    pub fn begin(&mut self, n_channels: usize) {
        if let Content::Events(_, gap) = self.content {
            self.mergers = (0..n_channels).map(|_| EventMerger::new(gap)).collect();
        }
    }

    /// The rows that a segment of the timeline gives.
    pub fn segment(&mut self, segment: SegmentScores) -> Vec<Row> {
        let channel = self.channel(segment.channel);
        let (start_secs, end_secs) = (segment.start_secs, segment.end_secs);
        let row = |tags: Vec<Tag>, embedding: Vec<f32>| Row {
            channel,
            start_secs,
            end_secs,
            tags,
            embedding,
        };
        match &self.content {
            Content::Tags(selection) => vec![row(selection.tags(&segment.scores), Vec::new())],
            Content::Embeddings => vec![row(Vec::new(), segment.embedding)],
            Content::Events(selection, _) => {
                let tags = selection.tags(&segment.scores);
                let over = self.mergers[segment.channel].push(start_secs, end_secs, &tags);
                event_rows(channel, over)
            }
        }
    }

    /// The rows that the end of a recording gives.
    pub fn finish(&mut self, clips: Vec<ClipScores>) -> Vec<Row> {
        if self.timeline {
            let mut mergers = std::mem::take(&mut self.mergers);
            let merged = mergers.iter_mut().enumerate();
            return merged
                .flat_map(|(channel, merger)| event_rows(self.channel(channel), merger.finish()))
                .collect();
        }
        clips.into_iter().map(|clip| self.clip(clip)).collect()
    }

    fn clip(&self, clip: ClipScores) -> Row {
        let (tags, embedding) = match &self.content {
            Content::Tags(selection) | Content::Events(selection, _) => {
                (selection.tags(&clip.scores), Vec::new())
            }
            Content::Embeddings => (Vec::new(), clip.embedding),
        };
        Row {
            channel: self.channel(clip.channel),
            start_secs: 0.0,
            end_secs: clip.duration_secs,
            tags,
            embedding,
        }
    }

    fn channel(&self, channel: usize) -> Option<usize> {
        self.each_channel.then_some(channel + 1)
    }
}

fn event_rows(channel: Option<usize>, events: Vec<Event>) -> Vec<Row> {
    let row = |event: Event| Row {
        channel,
        start_secs: event.start_secs,
        end_secs: event.end_secs,
        tags: vec![Tag {
            class: event.class,
            score: event.score,
        }],
        embedding: Vec::new(),
    };
    events.into_iter().map(row).collect()
}
