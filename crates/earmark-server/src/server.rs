//! The server's life: it binds, takes connections, and drains when it is asked to stop.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use earmark::hear::Model;
use earmark::search::Index;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::app::{App, Shared};
use crate::config::Config;
use crate::jobs::Jobs;
use crate::metrics::Metrics;
use crate::models::Models;
use crate::review::Review;
use crate::routes::{self, Search};
use crate::work::Gate;

/// Why a server does not start or does not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// There is no place for uploads.
    #[error("cannot make a folder for uploads")]
    Uploads(#[source] std::io::Error),
    /// The system gives no threads.
    #[error("cannot start threads")]
    Threads(#[source] std::io::Error),
    /// A counter cannot be registered.
    #[error("cannot count")]
    Metrics(#[from] prometheus::Error),
    /// The models do not go together.
    #[error(transparent)]
    Models(#[from] earmark::Error),
}

/// A server that listens already.
pub struct Server {
    app: Shared,
    listener: TcpListener,
    address: SocketAddr,
}

/// How often the flag that stops the server is looked at: signal handlers set it without waking.
const STOP_CHECK: Duration = Duration::from_millis(50);

/// How often jobs that nobody came back for are forgotten.
const SWEEP: Duration = Duration::from_secs(5);

impl Server {
    /// Listens on the configured address; connections wait until [`Server::run`]. Without a model
    /// there is the workbench only. Recordings are searched for in `index`, whose model must be among the
    /// models.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn bind(
        mut config: Config,
        models: Vec<Model>,
        review: Option<Arc<Review>>,
        index: Option<Index>,
    ) -> Result<Self, ServeError> {
        let address = config.address;
        let bind = |source| ServeError::Bind { address, source };
        let listener = TcpListener::bind(address).map_err(bind)?;
        listener.set_nonblocking(true).map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        config.address = address;
        let mut folder = tempfile::Builder::new();
        folder.prefix("earmark-uploads-");
        let uploads = match &config.temp_dir {
            Some(parent) => folder.tempdir_in(parent),
            None => folder.tempdir(),
        };
        let metrics = Arc::new(Metrics::new()?);
        let models = Models::new(models)?;
        let search = index.map(|index| Search::new(index, &models, config.limits));
        let app = App {
            models,
            search: search.transpose()?.map(Arc::new),
            gate: Gate::new(config.workers.get(), config.queue, Arc::clone(&metrics)),
            metrics,
            jobs: Jobs::default(),
            review,
            live: Arc::new(Semaphore::new(config.live)),
            uploads: uploads.map_err(ServeError::Uploads)?,
            ended: CancellationToken::new(),
            draining: CancellationToken::new(),
            ready: AtomicBool::new(false),
            config,
        };
        Ok(Self {
            app: Arc::new(app),
            listener,
            address,
        })
    }

    /// The address, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` becomes true, then lets running requests end for a while.
    ///
    /// # Errors
    /// [`ServeError`] when there are no threads.
    pub fn run(self, stop: &AtomicBool) -> Result<(), ServeError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("earmark-serve")
            .enable_io()
            .enable_time()
            .build()
            .map_err(ServeError::Threads)?;
        let app = Arc::clone(&self.app);
        let served = runtime.block_on(self.serve(stop));
        app.ended.cancel();
        // Work looks at its control after every segment.
        runtime.shutdown_timeout(Duration::from_secs(5));
        served
    }

    async fn serve(self, stop: &AtomicBool) -> Result<(), ServeError> {
        let app = self.app;
        let listener =
            tokio::net::TcpListener::from_std(self.listener).map_err(ServeError::Threads)?;
        let connections = Arc::new(Semaphore::new(app.config.connections));
        let router = routes::router(Arc::clone(&app));
        tokio::spawn(sweep(Arc::clone(&app)));
        app.ready.store(true, Ordering::Release);
        loop {
            let accept = async {
                // The semaphore is never closed.
                let place = Arc::clone(&connections).acquire_owned().await.ok();
                (listener.accept().await, place)
            };
            let (accepted, place) = tokio::select! {
                accepted = accept => accepted,
                () = asked(stop) => break,
            };
            let Ok((stream, _)) = accepted else {
                // Out of file descriptors, or the client is gone: others may do better.
                tokio::time::sleep(STOP_CHECK).await;
                continue;
            };
            let connection = connection(&app.config, stream, router.clone());
            let draining = app.draining.clone();
            tokio::spawn(async move {
                drive(connection, draining).await;
                drop(place);
            });
        }
        drop(listener);
        app.draining.cancel();
        // All places are free when all connections have ended; what is left is stopped afterwards.
        let n_places = u32::try_from(app.config.connections).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(app.config.drain, connections.acquire_many(n_places)).await;
        Ok(())
    }
}

type Connection = http1::UpgradeableConnection<TokioIo<TcpStream>, TowerToHyperService<Router<()>>>;

fn connection(config: &Config, stream: TcpStream, router: Router) -> Connection {
    // Small answers are not held back for more; where that fails they are only later.
    let _ = stream.set_nodelay(true);
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.idle)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades()
}

/// Serves a connection to its end; when the server drains, to the end of the request in work.
async fn drive(connection: Connection, draining: CancellationToken) {
    let mut connection = pin!(connection);
    // Errors here are clients that left or do not speak HTTP.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = draining.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

/// Ends when the flag is set.
async fn asked(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(STOP_CHECK).await;
    }
}

async fn sweep(app: Shared) -> Infallible {
    loop {
        tokio::time::sleep(SWEEP).await;
        app.jobs.sweep();
    }
}
