// Shadows, as operators see them.
#include <utility>

#include "schemas/client_codec.hpp"
#include "schemas/client_codec_parts.hpp"

namespace troupe::schemas {

using parts::text;
using parts::write_enum;

namespace {

unsigned size_of(const auto& values) { return static_cast<unsigned>(values.size()); }

void write_answer(client::ShadowAnswer::Builder to, const policy::ShadowAnswer& answer) {
  auto tiers = to.initTiers(size_of(answer.tiers));
  for (unsigned i = 0; i < tiers.size(); ++i) tiers.set(i, write_enum<client::Tier>(answer.tiers[i]));
  to.setText(text(answer.text));
  auto citations = to.initCitations(size_of(answer.citations));
  for (unsigned i = 0; i < citations.size(); ++i) citations.set(i, text(answer.citations[i]));
  to.setConfidence(answer.confidence);
  to.setConfident(answer.confident);
  to.setDoubt(text(answer.doubt));
  to.setFailedCheck(text(answer.failed_check));
  to.setCost(answer.cost);
  to.setComputed(answer.computed);
  to.setEngineMs(answer.engine_ms);
  to.setWholeMs(answer.whole_ms);
}

Result<policy::ShadowAnswer> read_answer(client::ShadowAnswer::Reader from) {
  policy::ShadowAnswer answer;
  const auto tiers = from.getTiers();
  if (tiers.size() > ClientLimits::attempts)
    return parts::too_many("the tiers of an answer", tiers.size(), ClientLimits::attempts);
  for (const auto each : tiers) {
    TROUPE_TRY(const auto tier, parts::read_tier(each));
    answer.tiers.push_back(tier);
  }
  answer.text = text(from.getText());
  const auto citations = from.getCitations();
  if (citations.size() > ClientLimits::passages)
    return parts::too_many("the citations of an answer", citations.size(), ClientLimits::passages);
  for (const auto each : citations) answer.citations.push_back(text(each));
  answer.confidence = from.getConfidence();
  answer.confident = from.getConfident();
  answer.doubt = text(from.getDoubt());
  answer.failed_check = text(from.getFailedCheck());
  answer.cost = from.getCost();
  answer.computed = from.getComputed();
  answer.engine_ms = from.getEngineMs();
  answer.whole_ms = from.getWholeMs();
  return answer;
}

void write_record(client::ShadowRecord::Builder to, const policy::NumberedShadowRecord& numbered) {
  const policy::ShadowRecord& record = numbered.record;
  to.setNumber(numbered.number);
  to.setExperiment(text(record.experiment));
  to.setConversation(bytes_of(record.turn.conversation));
  to.setTurn(record.turn.number);
  to.setAtMs(record.at_ms);
  to.setQuestion(text(record.question));
  to.setFate(write_enum<client::ShadowRecord::Fate>(record.fate));
  to.setWhy(text(record.why));
  write_answer(to.initClient(), record.client);
  write_answer(to.initShadow(), record.shadow);
  to.setSameText(record.same_text);
  to.setSameCitations(record.same_citations);
  to.setSameValues(record.same_values);
}

Result<policy::NumberedShadowRecord> read_record(client::ShadowRecord::Reader from) {
  policy::NumberedShadowRecord numbered;
  policy::ShadowRecord& record = numbered.record;
  numbered.number = from.getNumber();
  record.experiment = text(from.getExperiment());
  TROUPE_TRY(record.turn.conversation, read_conversation(from.getConversation()));
  record.turn.number = from.getTurn();
  record.at_ms = from.getAtMs();
  record.question = text(from.getQuestion());
  TROUPE_TRY(record.fate, parts::read_enum(from.getFate(), policy::ShadowFate::dropped, "what became of a shadow"));
  record.why = text(from.getWhy());
  TROUPE_TRY(record.client, read_answer(from.getClient()));
  TROUPE_TRY(record.shadow, read_answer(from.getShadow()));
  record.same_text = from.getSameText();
  record.same_citations = from.getSameCitations();
  record.same_values = from.getSameValues();
  return numbered;
}

}  // namespace

void write(client::ShadowQuery::Builder to, const policy::ShadowQuery& query) {
  to.setFrom(query.from);
  to.setLimit(query.limit);
  to.setExperiment(text(query.experiment));
  to.setSinceMs(query.since_ms);
  to.setTexts(query.texts);
}

Result<policy::ShadowQuery> read(client::ShadowQuery::Reader from) {
  if (from.getLimit() == 0) {
    return Error{ErrorCode::out_of_range, "limit is 0, expected 1 to " + std::to_string(policy::ShadowPage::numbers_max)};
  }
  return policy::ShadowQuery{.from = from.getFrom(),
                             .limit = from.getLimit(),
                             .experiment = text(from.getExperiment()),
                             .since_ms = from.getSinceMs(),
                             .texts = from.getTexts()};
}

void write(client::ShadowPage::Builder to, const policy::ShadowPage& page) {
  auto records = to.initRecords(size_of(page.records));
  for (unsigned i = 0; i < records.size(); ++i) write_record(records[i], page.records[i]);
  to.setNext(page.next);
  to.setMore(page.more);
  auto running = to.initRunning(size_of(page.running));
  for (unsigned i = 0; i < running.size(); ++i) {
    running[i].setName(text(page.running[i].name));
    running[i].setShare(page.running[i].share);
    running[i].setSays(text(page.running[i].says));
  }
}

Result<policy::ShadowPage> read(client::ShadowPage::Reader from) {
  policy::ShadowPage page;
  const auto records = from.getRecords();
  if (records.size() > policy::ShadowPage::numbers_max)
    return parts::too_many("a page of shadows", records.size(), policy::ShadowPage::numbers_max);
  for (const auto each : records) {
    TROUPE_TRY(auto record, read_record(each));
    page.records.push_back(std::move(record));
  }
  page.next = from.getNext();
  page.more = from.getMore();
  const auto running = from.getRunning();
  if (running.size() > policy::ShadowExperiment::experiments_max)
    return parts::too_many("the shadows of a node", running.size(), policy::ShadowExperiment::experiments_max);
  for (const auto each : running) page.running.push_back({text(each.getName()), each.getShare(), text(each.getSays())});
  return page;
}

}  // namespace troupe::schemas
