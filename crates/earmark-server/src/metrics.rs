//! What the server counts, for Prometheus.

use prometheus::{
    Counter, Encoder as _, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter,
    IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

/// The server's counters. Every name begins with `earmark_`.
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    rejects: IntCounterVec,
    latency: HistogramVec,
    /// Recordings that could not be heard.
    pub(crate) decode_failures: IntCounter,
    /// Requests that wait for a worker.
    pub(crate) queue_depth: IntGauge,
    /// Seconds of sound that were heard.
    pub(crate) audio_seconds: Counter,
    /// Seconds that workers were busy.
    pub(crate) busy_seconds: Counter,
    work: Histogram,
    real_time_factor: Gauge,
    /// Live sessions.
    pub(crate) live_sessions: IntGauge,
}

impl Metrics {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let vec = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            prometheus::Result::Ok(counters)
        };
        let buckets = vec![
            0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
        ];
        let requests = vec(
            "earmark_requests_total",
            "Requests by route and status.",
            &["route", "status"],
        )?;
        let rejects = vec(
            "earmark_rejects_total",
            "Requests that were refused, by the problem's code.",
            &["code"],
        )?;
        let latency = HistogramVec::new(
            HistogramOpts::new(
                "earmark_request_seconds",
                "Time from a request's head to its answer's head.",
            )
            .buckets(buckets.clone()),
            &["route"],
        )?;
        registry.register(Box::new(latency.clone()))?;
        let metrics = Self {
            requests,
            rejects,
            latency,
            decode_failures: IntCounter::new(
                "earmark_decode_failures_total",
                "Recordings that could not be heard.",
            )?,
            queue_depth: IntGauge::new("earmark_queue_depth", "Requests that wait for a worker.")?,
            audio_seconds: Counter::new(
                "earmark_audio_seconds_total",
                "Seconds of sound that were heard.",
            )?,
            busy_seconds: Counter::new(
                "earmark_busy_seconds_total",
                "Seconds that workers were busy.",
            )?,
            work: Histogram::with_opts(
                HistogramOpts::new(
                    "earmark_work_seconds",
                    "Time from a complete upload to its result, waiting included.",
                )
                .buckets(buckets),
            )?,
            real_time_factor: Gauge::new(
                "earmark_real_time_factor",
                "Seconds of work per second of sound, since the start.",
            )?,
            live_sessions: IntGauge::new("earmark_live_sessions", "Live sessions.")?,
            registry,
        };
        metrics.register()?;
        Ok(metrics)
    }

    fn register(&self) -> prometheus::Result<()> {
        let registry = &self.registry;
        registry.register(Box::new(self.decode_failures.clone()))?;
        registry.register(Box::new(self.queue_depth.clone()))?;
        registry.register(Box::new(self.audio_seconds.clone()))?;
        registry.register(Box::new(self.busy_seconds.clone()))?;
        registry.register(Box::new(self.work.clone()))?;
        registry.register(Box::new(self.real_time_factor.clone()))?;
        registry.register(Box::new(self.live_sessions.clone()))
    }

    /// Counts an answered request.
    pub(crate) fn answered(&self, route: &str, status: u16, secs: f64) {
        let status = status.to_string();
        self.requests.with_label_values(&[route, &status]).inc();
        self.latency.with_label_values(&[route]).observe(secs);
    }

    /// Counts a refused request.
    pub(crate) fn rejected(&self, code: &str) {
        self.rejects.with_label_values(&[code]).inc();
    }

    /// Counts finished work.
    pub(crate) fn worked(&self, secs: f64) {
        self.work.observe(secs);
    }

    /// How busy one recording keeps a worker, on average.
    pub(crate) fn mean_work_secs(&self) -> f64 {
        match self.work.get_sample_count() {
            0 => 0.1,
            n => self.busy_seconds.get() / n as f64,
        }
    }

    /// The text that Prometheus reads.
    pub(crate) fn text(&self) -> prometheus::Result<Vec<u8>> {
        let heard = self.audio_seconds.get();
        if heard > 0.0 {
            self.real_time_factor.set(self.busy_seconds.get() / heard);
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}
