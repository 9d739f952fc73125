// Contracts, as clients and operators see them: the story of a turn's stages, and what a node counts.
#include <algorithm>
#include <utility>

#include "schemas/client_codec.hpp"
#include "schemas/client_codec_parts.hpp"

namespace troupe::schemas {

void parts::write(client::StageEntry::Builder to, const policy::StageEntry& entry) {
  to.setStage(write_enum<client::Stage>(entry.stage));
  to.setAttempt(entry.attempt);
  to.setPromptTokens(entry.prompt_tokens);
  to.setAnswerTokens(entry.answer_tokens);
  to.setMilliseconds(entry.milliseconds);
  to.setTrouble(write_enum<client::Trouble>(entry.trouble));
  to.setFallback(write_enum<client::Fallback>(entry.fallback));
  to.setWhy(text(entry.why));
}

Result<policy::StageEntry> parts::read(client::StageEntry::Reader from) {
  policy::StageEntry entry;
  TROUPE_TRY(entry.stage, read_enum(from.getStage(), policy::Stage::summary, "a stage"));
  entry.attempt = from.getAttempt();
  entry.prompt_tokens = from.getPromptTokens();
  entry.answer_tokens = from.getAnswerTokens();
  entry.milliseconds = from.getMilliseconds();
  TROUPE_TRY(entry.trouble, read_enum(from.getTrouble(), policy::Trouble::failed, "the trouble of a stage"));
  TROUPE_TRY(entry.fallback, read_enum(from.getFallback(), policy::Fallback::mark, "the fallback of a stage"));
  entry.why = text(from.getWhy());
  return entry;
}

void parts::write(capnp::List<client::StageCounts>::Builder to, const policy::PerStage<policy::StageCounts>& counts) {
  for (unsigned i = 0; i < to.size(); ++i) {
    to[i].setHeld(counts[i].held);
    to[i].setLate(counts[i].late);
    to[i].setOversized(counts[i].oversized);
    to[i].setMalformed(counts[i].malformed);
    to[i].setFailed(counts[i].failed);
  }
}

/// A node of another version may know fewer stages, or more.
policy::PerStage<policy::StageCounts> parts::read(capnp::List<client::StageCounts>::Reader from) {
  policy::PerStage<policy::StageCounts> counts{};
  for (unsigned i = 0; i < std::min<unsigned>(from.size(), static_cast<unsigned>(counts.size())); ++i) {
    counts[i] = {from[i].getHeld(), from[i].getLate(), from[i].getOversized(), from[i].getMalformed(), from[i].getFailed()};
  }
  return counts;
}

}  // namespace troupe::schemas
