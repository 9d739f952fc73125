// Between the plain structs of policy/ and their form in schemas/client.capnp, for both ends of the public protocol.
//
// `write` fills a builder. `read` checks what a stranger sent (names of enumerations, lengths of lists and texts) and answers
// with an Error; bytes that are no message make Cap'n Proto throw, which `read_checked` turns into `corrupt`.
#pragma once

#include <kj/exception.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "policy/ask.hpp"
#include "policy/cluster_view.hpp"
#include "policy/corpus_change.hpp"
#include "policy/pins.hpp"
#include "policy/shadow_record.hpp"
#include "policy/turn.hpp"
#include "schemas/client.capnp.h"
#include "schemas/served_model.hpp"

namespace troupe::schemas {

/// Lengths that a message may have at most, so that a few bytes cannot make the reader allocate much.
struct ClientLimits {
  static constexpr std::uint64_t request_bytes = std::uint64_t{1} << 20;  ///< a frame that a node receives
  static constexpr std::uint64_t reply_bytes = std::uint64_t{8} << 20;    ///< a frame that a node sends
  static constexpr int nesting = 32;
  static constexpr std::size_t events = 32;  ///< of one call, and between two acknowledgements
  static constexpr std::size_t tokens = std::size_t{1} << 20;
  static constexpr std::size_t emissions = std::size_t{1} << 14;
  static constexpr std::size_t passages = 256;
  static constexpr std::size_t attempts = 64;
  static constexpr std::size_t stages = 64;
  static constexpr std::size_t rungs = 16;
  static constexpr std::size_t messages = 8192;
  static constexpr std::size_t turns = 64;
  static constexpr std::size_t summaries = 4096;
  static constexpr std::size_t memory_entries = 65536;  ///< of each list of a summary or a plan
  static constexpr std::size_t nodes = 4096;
  static constexpr std::size_t replicas = 256;
  static constexpr std::size_t expert_words = 65536;  ///< of one model of a node
  static constexpr std::size_t documents = 1024;      ///< of one call that changes a corpus; names as well
  static constexpr std::size_t sections = 16384;      ///< of one document in such a call
};

/// How much of a turn crosses.
enum class TurnDetail : std::uint8_t { decisions, tokens };

void write(client::Failure::Builder to, ErrorCode code, std::string_view message);
void write(client::Ask::Builder to, const policy::Ask& ask);
void write(client::TurnEvent::Builder to, const policy::TurnEvent& event);
void write(client::Turn::Builder to, const policy::Turn& turn, TurnDetail detail);
void write(client::Summary::Builder to, const policy::Summary& summary);
void write(client::PinChange::Builder to, const policy::PinChange& change);
void write(client::Pins::Builder to, const policy::Pins& pins);
void write(client::Models::Builder to, const std::vector<ServedModel>& models);
void write(client::NodeView::Builder to, const policy::NodeView& node);
void write(client::ClusterView::Builder to, const policy::ClusterView& view);
void write(client::ShadowQuery::Builder to, const policy::ShadowQuery& query);
void write(client::ShadowPage::Builder to, const policy::ShadowPage& page);
void write(client::Section::Builder to, const policy::Section& section);
void write(client::DocumentPage::Builder to, const policy::DocumentPage& page);
void write(client::CorpusView::Builder to, const policy::CorpusView& view);
void write(client::SearchHits::Builder to, const policy::SearchHits& hits);

/// The Error that a failure stands for. A code of a newer node than this reads as `unavailable` and is kept in the message.
Error read(client::Failure::Reader from);
Result<policy::Ask> read(client::Ask::Reader from);
Result<policy::TurnEvent> read(client::TurnEvent::Reader from);
Result<policy::Turn> read(client::Turn::Reader from);
Result<policy::Summary> read(client::Summary::Reader from);
Result<policy::PinChange> read(client::PinChange::Reader from);
Result<policy::Pins> read(client::Pins::Reader from);
Result<std::vector<ServedModel>> read(client::Models::Reader from);
Result<policy::NodeView> read(client::NodeView::Reader from);
Result<policy::ClusterView> read(client::ClusterView::Reader from);
Result<policy::ShadowQuery> read(client::ShadowQuery::Reader from);
Result<policy::ShadowPage> read(client::ShadowPage::Reader from);
/// What it says is not looked at (storage/corpus_documents.hpp does that).
Result<policy::Document> read(client::Document::Reader from);
Result<policy::DocumentPage> read(client::DocumentPage::Reader from);
Result<policy::CorpusView> read(client::CorpusView::Reader from);
Result<policy::SearchHits> read(client::SearchHits::Reader from);

/// `read`, for bytes that come from outside.
template <class Reader>
auto read_checked(Reader from) -> decltype(read(from)) {
  try {
    return read(from);
  } catch (const kj::Exception& exception) {
    return Error{ErrorCode::corrupt, "a message is malformed: " + std::string(exception.getDescription().cStr())};
  }
}

/// The 16 bytes of a conversation's id; `invalid_argument` for another number of them.
Result<policy::ConversationId> read_conversation(capnp::Data::Reader from);
kj::ArrayPtr<const kj::byte> bytes_of(const policy::ConversationId& id);

/// For a frame's largest size: what ReaderOptions::traversalLimitInWords counts.
constexpr std::uint64_t words_of(std::uint64_t bytes) { return bytes / sizeof(capnp::word); }

}  // namespace troupe::schemas
