// What became of a turn that was drawn for a shadow, between its plain value and Cap'n Proto.
#include <string>

#include "base/check.hpp"
#include "schemas/records_codec.hpp"

namespace troupe::schemas {

namespace {

using Limits = RecordLimits;

static_assert(static_cast<int>(policy::ShadowFate::dropped) == static_cast<int>(records::Shadow::Fate::DROPPED));
constexpr std::uint16_t fates = 3;

kj::StringPtr text(const std::string& value) { return {value.c_str(), value.size()}; }
std::string text(capnp::Text::Reader value) { return {value.begin(), value.size()}; }

Error damaged(const std::string& what) { return {ErrorCode::corrupt, what + "; the record is damaged"}; }

Result<void> check_length(std::size_t size, std::size_t size_max, const std::string& field) {
  if (size <= size_max) return {};
  return Error{ErrorCode::too_large, field + ": a list of " + std::to_string(size) + ", at most " + std::to_string(size_max) +
                                         " are read; the record is damaged"};
}
unsigned bounded(std::size_t size, std::size_t size_max) {
  TROUPE_CHECK(size <= size_max, "lists are within RecordLimits before they are kept");
  return static_cast<unsigned>(size);
}

void write_answer(const policy::ShadowAnswer& answer, records::ShadowAnswer::Builder out) {
  auto tiers = out.initTiers(bounded(answer.tiers.size(), Limits::attempts_max));
  for (unsigned i = 0; i < tiers.size(); ++i) tiers.set(i, to_wire(answer.tiers[i]));
  out.setText(text(answer.text));
  auto citations = out.initCitations(bounded(answer.citations.size(), Limits::passages_max));
  for (unsigned i = 0; i < citations.size(); ++i) citations.set(i, text(answer.citations[i]));
  out.setConfidence(answer.confidence);
  out.setConfident(answer.confident);
  out.setDoubt(text(answer.doubt));
  out.setFailedCheck(text(answer.failed_check));
  out.setCost(answer.cost);
  out.setComputed(answer.computed);
  out.setEngineMs(answer.engine_ms);
  out.setWholeMs(answer.whole_ms);
}

Result<void> read_answer(records::ShadowAnswer::Reader in, const std::string& field, policy::ShadowAnswer& answer) {
  const auto tiers = in.getTiers();
  TROUPE_TRY_DO(check_length(tiers.size(), Limits::attempts_max, field + ".tiers"));
  answer.tiers.resize(tiers.size());
  for (unsigned i = 0; i < tiers.size(); ++i) TROUPE_TRY_DO(read(tiers[i], answer.tiers[i]));
  answer.text = text(in.getText());
  const auto citations = in.getCitations();
  TROUPE_TRY_DO(check_length(citations.size(), Limits::passages_max, field + ".citations"));
  for (const auto citation : citations) answer.citations.push_back(text(citation));
  answer.confidence = in.getConfidence();
  answer.confident = in.getConfident();
  answer.doubt = text(in.getDoubt());
  answer.failed_check = text(in.getFailedCheck());
  answer.cost = in.getCost();
  answer.computed = in.getComputed();
  answer.engine_ms = in.getEngineMs();
  answer.whole_ms = in.getWholeMs();
  return {};
}

}  // namespace

void write(const policy::ShadowRecord& shadow, records::Shadow::Builder out) {
  out.setExperiment(text(shadow.experiment));
  write(shadow.turn.conversation, out.initConversation());
  out.setTurn(shadow.turn.number);
  out.setAtMs(shadow.at_ms);
  out.setQuestion(text(shadow.question));
  out.setFate(static_cast<records::Shadow::Fate>(shadow.fate));
  out.setWhy(text(shadow.why));
  write_answer(shadow.client, out.initClient());
  write_answer(shadow.shadow, out.initShadow());
  out.setSameText(shadow.same_text);
  out.setSameCitations(shadow.same_citations);
  out.setSameValues(shadow.same_values);
}

Result<void> read(records::Shadow::Reader in, policy::ShadowRecord& shadow) {
  shadow.experiment = text(in.getExperiment());
  TROUPE_TRY_DO(read(in.getConversation(), shadow.turn.conversation));
  shadow.turn.number = in.getTurn();
  if (shadow.turn.number == 0) return damaged("shadow.turn: 0, turns are numbered from 1");
  shadow.at_ms = in.getAtMs();
  shadow.question = text(in.getQuestion());
  const auto fate = static_cast<std::uint16_t>(in.getFate());
  if (fate >= fates) return damaged("shadow.fate: " + std::to_string(fate) + ", known are 0 to " + std::to_string(fates - 1));
  shadow.fate = static_cast<policy::ShadowFate>(fate);
  shadow.why = text(in.getWhy());
  TROUPE_TRY_DO(read_answer(in.getClient(), "shadow.client", shadow.client));
  TROUPE_TRY_DO(read_answer(in.getShadow(), "shadow.shadow", shadow.shadow));
  shadow.same_text = in.getSameText();
  shadow.same_citations = in.getSameCitations();
  shadow.same_values = in.getSameValues();
  return {};
}

}  // namespace troupe::schemas
