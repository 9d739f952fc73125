// The story of a turn's stages, as a part of records.
#include "base/check.hpp"
#include "schemas/records_codec.hpp"

namespace troupe::schemas {

namespace {

// Numbers of enums are the same on both sides, so that a cast between them is right.
static_assert(static_cast<int>(policy::Stage::summary) == static_cast<int>(records::Stage::SUMMARY));
static_assert(static_cast<int>(policy::Trouble::failed) == static_cast<int>(records::Trouble::FAILED));
static_assert(static_cast<int>(policy::Fallback::mark) == static_cast<int>(records::Fallback::MARK));

template <class Plain, class Wire>
Result<void> choose(Wire wire, Plain last, std::string_view field, Plain& value) {
  const auto number = static_cast<unsigned>(wire);
  if (number > static_cast<unsigned>(last)) {
    return Error{ErrorCode::corrupt, "stages." + std::string(field) + ": " + std::to_string(number) + ", known are 0 to " +
                                         std::to_string(static_cast<unsigned>(last)) + "; the record is damaged"};
  }
  value = static_cast<Plain>(number);
  return {};
}

Result<void> read(records::StageEntry::Reader in, policy::StageEntry& entry) {
  TROUPE_TRY_DO(choose(in.getStage(), policy::Stage::summary, "stage", entry.stage));
  entry.attempt = in.getAttempt();
  entry.prompt_tokens = in.getPromptTokens();
  entry.answer_tokens = in.getAnswerTokens();
  entry.milliseconds = in.getMilliseconds();
  TROUPE_TRY_DO(choose(in.getTrouble(), policy::Trouble::failed, "trouble", entry.trouble));
  TROUPE_TRY_DO(choose(in.getFallback(), policy::Fallback::mark, "fallback", entry.fallback));
  const auto why = in.getWhy();  // once: each look at a text counts as reading it
  entry.why.assign(why.begin(), why.size());
  return {};
}

}  // namespace

void write(const std::vector<policy::StageEntry>& entries, capnp::List<records::StageEntry>::Builder out) {
  TROUPE_CHECK(entries.size() <= RecordLimits::stages_max, "lists are within RecordLimits before they are kept");
  for (unsigned i = 0; i < out.size(); ++i) {
    const policy::StageEntry& entry = entries[i];
    out[i].setStage(static_cast<records::Stage>(entry.stage));
    out[i].setAttempt(entry.attempt);
    out[i].setPromptTokens(entry.prompt_tokens);
    out[i].setAnswerTokens(entry.answer_tokens);
    out[i].setMilliseconds(entry.milliseconds);
    out[i].setTrouble(static_cast<records::Trouble>(entry.trouble));
    out[i].setFallback(static_cast<records::Fallback>(entry.fallback));
    out[i].setWhy({entry.why.c_str(), entry.why.size()});
  }
}

Result<void> read(capnp::List<records::StageEntry>::Reader in, std::vector<policy::StageEntry>& entries) {
  if (in.size() > RecordLimits::stages_max) {
    return Error{ErrorCode::too_large, "stages: a list of " + std::to_string(in.size()) + ", at most " +
                                           std::to_string(RecordLimits::stages_max) + " are read; the record is damaged"};
  }
  entries.resize(in.size());
  for (unsigned i = 0; i < in.size(); ++i) TROUPE_TRY_DO(read(in[i], entries[i]));
  return {};
}

}  // namespace troupe::schemas
