//! The physical limit beside the product: a WebSocket that says back what it hears.

use std::io::Write;
use std::net::TcpListener;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, rt, web};
use actix_ws::Message;
use futures_util::StreamExt;

/// With this argument the bench is the echo, and tells where it listens.
pub const ARGUMENT: &str = "--echo";

/// Serves until the process ends.
pub fn serve() -> anyhow::Result<()> {
    rt::System::new().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        println!("{}", listener.local_addr()?);
        std::io::stdout().flush()?;
        let app = || App::new().route("/v1/rtc", web::get().to(open));
        HttpServer::new(app).listen(listener)?.run().await?;
        Ok(())
    })
}

async fn open(request: HttpRequest, body: web::Payload) -> actix_web::Result<HttpResponse> {
    let (answer, mut session, mut stream) = actix_ws::handle(&request, body)?;
    drop(rt::spawn(async move {
        while let Some(Ok(message)) = stream.next().await {
            if let Message::Text(text) = message
                && session.text(text).await.is_err()
            {
                return;
            }
        }
    }));
    Ok(answer)
}
