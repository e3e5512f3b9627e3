//! A name server for tests.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, TXT};
use hickory_resolver::proto::rr::{RData, Record, RecordType};

/// A name server that knows `host`, which is this machine, and the text of one more name, if there
/// is one. It lasts as long as the test's process.
pub(crate) fn name_server(host: &'static str, txt: Option<(&'static str, String)>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("bound");
    thread::spawn(move || {
        let mut packet = [0; 2048];
        while let Ok((len, from)) = socket.recv_from(&mut packet) {
            let query = Message::from_vec(&packet[..len]).ok();
            if let Some(answer) = query.and_then(|query| answer(&query, host, txt.as_ref())) {
                let packet = answer.to_vec().expect("it can be written");
                socket.send_to(&packet, from).expect("sent");
            }
        }
    });
    address
}

fn answer(query: &Message, host: &str, txt: Option<&(&str, String)>) -> Option<Message> {
    let asked = query.queries.first()?;
    let name = asked.name().to_ascii().to_lowercase();
    let name = name.trim_end_matches('.');
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    answer.add_query(asked.clone());
    let record = |data| Record::from_rdata(asked.name().clone(), 0, data);
    match (name, asked.query_type(), txt) {
        (name, RecordType::A, _) if name == host => {
            answer.add_answer(record(RData::A(A(Ipv4Addr::LOCALHOST))));
        }
        (name, _, _) if name == host => {}
        (name, RecordType::TXT, Some((known, text))) if name == *known => {
            answer.add_answer(record(RData::TXT(TXT::new(vec![text.clone()]))));
        }
        _ => answer.metadata.response_code = ResponseCode::NXDomain,
    }
    Some(answer)
}
