// What a home asks of an engine, and what the engine answers.
#include <algorithm>
#include <functional>

#include "schemas/cluster_codec.hpp"
#include "schemas/cluster_frame.hpp"
#include "schemas/cluster_messages.hpp"

namespace troupe::schemas {

static_assert(static_cast<int>(Purpose::shadow) == static_cast<int>(cluster::Purpose::SHADOW));
static_assert(static_cast<int>(policy::Task::chat) == static_cast<int>(cluster::Task::CHAT));

// Preparing a prompt.

void write(const policy::Exchange& exchange, cluster::Exchange::Builder out) {
  out.setQuestion(text_of(exchange.question));
  out.setAnswer(text_of(exchange.answer));
}
Result<void> read(cluster::Exchange::Reader in, policy::Exchange& exchange) {
  TROUPE_TRY_DO(read_field("question", [&] { return read_text(in.getQuestion(), exchange.question); }));
  TROUPE_TRY_DO(read_field("answer", [&] { return read_text(in.getAnswer(), exchange.answer); }));
  return {};
}

void write(const policy::PassageText& passage, cluster::PassageText::Builder out) {
  out.setName(text_of(passage.name));
  out.setText(text_of(passage.text));
}
Result<void> read(cluster::PassageText::Reader in, policy::PassageText& passage) {
  TROUPE_TRY_DO(read_field("name", [&] { return read_text(in.getName(), passage.name); }));
  TROUPE_TRY_DO(read_field("text", [&] { return read_text(in.getText(), passage.text); }));
  return {};
}

void write(const EnginePrepare& prepare, cluster::EnginePrepare::Builder out) {
  const auto& parts = prepare.parts;
  out.setPurpose(static_cast<cluster::Purpose>(prepare.purpose));
  out.setTask(static_cast<cluster::Task>(parts.task));
  out.setSummary(text_of(parts.summary));
  write_list(parts.recent, out.initRecent(count_of(parts.recent)));
  write_list(parts.passages, out.initPassages(count_of(parts.passages)));
  out.setQuestion(text_of(parts.question));
  out.setTokensMax(prepare.tokens_max);
  out.setInstruction(text_of(parts.instruction));
}
Result<void> read(cluster::EnginePrepare::Reader in, EnginePrepare& prepare) {
  auto& parts = prepare.parts;
  TROUPE_TRY_DO(read_field("purpose", [&] { return read_enum(in.getPurpose(), Purpose::shadow, prepare.purpose); }));
  TROUPE_TRY_DO(read_field("task", [&] { return read_enum(in.getTask(), policy::Task::chat, parts.task); }));
  TROUPE_TRY_DO(read_field("summary", [&] { return read_text(in.getSummary(), parts.summary); }));
  TROUPE_TRY_DO(read_field("recent", [&] { return read_list(in.getRecent(), ClusterLimits::exchanges_max, parts.recent); }));
  TROUPE_TRY_DO(
      read_field("passages", [&] { return read_list(in.getPassages(), ClusterLimits::passages_max, parts.passages); }));
  TROUPE_TRY_DO(read_field("question", [&] { return read_text(in.getQuestion(), parts.question); }));
  TROUPE_TRY_DO(read_field("instruction", [&] { return read_text(in.getInstruction(), parts.instruction); }));
  prepare.tokens_max = in.getTokensMax();
  return {};
}

namespace {

Result<void> read_places(capnp::List<std::uint32_t>::Reader in, std::vector<std::uint32_t>& places) {
  TROUPE_TRY_DO(read_numbers(in, ClusterLimits::passages_max, places));
  const auto fallen = std::adjacent_find(places.begin(), places.end(), std::greater_equal<>());
  if (fallen == places.end()) return {};
  return Error{ErrorCode::corrupt,
               "place " + std::to_string(fallen[1]) + " after " + std::to_string(fallen[0]) + ", they ascend"};
}

}  // namespace

void write(const EnginePrepared& prepared, cluster::EnginePrepared::Builder out) {
  write_numbers(prepared.prompt, out.initPrompt(count_of(prepared.prompt)));
  write_numbers(prepared.passages, out.initPassages(count_of(prepared.passages)));
  out.setRecentLeftOut(prepared.recent_left_out);
  write(prepared.model, out.initModel());
  out.setContextMax(prepared.context_max);
  write_list(prepared.messages, out.initMessages(count_of(prepared.messages)));
}
Result<void> read(cluster::EnginePrepared::Reader in, EnginePrepared& prepared) {
  TROUPE_TRY_DO(read_field("prompt", [&] { return read_numbers(in.getPrompt(), ClusterLimits::ids_max, prepared.prompt); }));
  TROUPE_TRY_DO(read_field("passages", [&] { return read_places(in.getPassages(), prepared.passages); }));
  prepared.recent_left_out = in.getRecentLeftOut();
  TROUPE_TRY_DO(read_field("model", [&] { return read(in.getModel(), prepared.model); }));
  prepared.context_max = in.getContextMax();
  return read_field("messages", [&] { return read_list(in.getMessages(), RecordLimits::messages_max, prepared.messages); });
}

// Generating.

void write(const AttemptKey& key, cluster::AttemptKey::Builder out) {
  write(key.turn, out.initTurn());
  out.setPurpose(static_cast<cluster::Purpose>(key.purpose));
  out.setAttempt(key.attempt);
}
Result<void> read(cluster::AttemptKey::Reader in, AttemptKey& key) {
  TROUPE_TRY_DO(read_field("turn", [&] { return read(in.getTurn(), key.turn); }));
  TROUPE_TRY_DO(read_field("purpose", [&] { return read_enum(in.getPurpose(), Purpose::shadow, key.purpose); }));
  key.attempt = in.getAttempt();
  return {};
}

void write(const EngineRequest& request, cluster::EngineRequest::Builder out) {
  write_numbers(request.prompt, out.initPrompt(count_of(request.prompt)));
  write(request.sampling, out.initSampling());
  out.setSeed(request.seed);
  out.setTokensMax(request.tokens_max);
  out.setPriority(to_wire(request.priority));
  write_list(request.messages, out.initMessages(count_of(request.messages)));
  out.setLogProbabilitySumMin(request.log_probability_sum_min);
}
Result<void> read(cluster::EngineRequest::Reader in, EngineRequest& request) {
  TROUPE_TRY_DO(read_field("prompt", [&] { return read_numbers(in.getPrompt(), ClusterLimits::ids_max, request.prompt); }));
  TROUPE_TRY_DO(read_field("sampling", [&] { return read(in.getSampling(), request.sampling); }));
  request.seed = in.getSeed();
  request.tokens_max = in.getTokensMax();
  TROUPE_TRY_DO(read_field("priority", [&] { return read(in.getPriority(), request.priority); }));
  request.log_probability_sum_min = in.getLogProbabilitySumMin();
  if (!(request.log_probability_sum_min <= 0)) {
    return Error{ErrorCode::corrupt,
                 "log_probability_sum_min " + std::to_string(request.log_probability_sum_min) + ", it is at most 0"};
  }
  return read_field("messages", [&] { return read_list(in.getMessages(), RecordLimits::messages_max, request.messages); });
}

void write(const EngineGenerate& generate, cluster::EngineGenerate::Builder out) {
  write(generate.key, out.initKey());
  out.setEpoch(generate.epoch);
  out.setHome(text_of(generate.home.value));
  write(generate.model, out.initModel());
  out.setFromIndex(generate.from_index);
  out.setTimeLeftMs(generate.time_left_ms);
  write(generate.request, out.initRequest());
  write_list(generate.known, out.initKnown(count_of(generate.known)));
  out.setOnlyKnown(generate.only_known);
}
Result<void> read(cluster::EngineGenerate::Reader in, EngineGenerate& generate) {
  TROUPE_TRY_DO(read_field("key", [&] { return read(in.getKey(), generate.key); }));
  generate.epoch = in.getEpoch();
  TROUPE_TRY_DO(read_field("home", [&] { return read_name(in.getHome(), generate.home.value); }));
  TROUPE_TRY_DO(read_field("model", [&] { return read(in.getModel(), generate.model); }));
  generate.from_index = in.getFromIndex();
  generate.time_left_ms = in.getTimeLeftMs();
  generate.only_known = in.getOnlyKnown();
  TROUPE_TRY_DO(read_field("request", [&] { return read(in.getRequest(), generate.request); }));
  return read_field("known", [&] { return read_list(in.getKnown(), ClusterLimits::emissions_max, generate.known); });
}

void write(const EngineRelease& release, cluster::EngineRelease::Builder out) {
  write(release.key, out.initKey());
  out.setEpoch(release.epoch);
}
Result<void> read(cluster::EngineRelease::Reader in, EngineRelease& release) {
  TROUPE_TRY_DO(read_field("key", [&] { return read(in.getKey(), release.key); }));
  release.epoch = in.getEpoch();
  return {};
}

void write(const EngineEmissions& emissions, cluster::EngineEmissions::Builder out) {
  write(emissions.key, out.initKey());
  write_list(emissions.emissions, out.initEmissions(count_of(emissions.emissions)));
}
Result<void> read(cluster::EngineEmissions::Reader in, EngineEmissions& emissions) {
  TROUPE_TRY_DO(read_field("key", [&] { return read(in.getKey(), emissions.key); }));
  TROUPE_TRY_DO(
      read_field("emissions", [&] { return read_list(in.getEmissions(), ClusterLimits::emissions_max, emissions.emissions); }));
  return {};
}

namespace {

Result<void> read_error(cluster::EngineFinished::Error::Reader in, std::optional<ErrorCode>& error) {
  switch (in.which()) {
    case cluster::EngineFinished::Error::NONE: return {};
    case cluster::EngineFinished::Error::CODE: return read(in.getCode(), error.emplace());
  }
  return Error{ErrorCode::corrupt, "neither none nor a code"};
}

}  // namespace

void write(const EngineFinished& finished, cluster::EngineFinished::Builder out) {
  write(finished.key, out.initKey());
  out.setEmissions(finished.emissions);
  write(finished.result, out.initResult());
  if (finished.error) out.getError().setCode(to_wire(*finished.error));
  out.setMessage(text_of(finished.message));
}
Result<void> read(cluster::EngineFinished::Reader in, EngineFinished& finished) {
  TROUPE_TRY_DO(read_field("key", [&] { return read(in.getKey(), finished.key); }));
  finished.emissions = in.getEmissions();
  TROUPE_TRY_DO(read_field("result", [&] { return read(in.getResult(), finished.result); }));
  TROUPE_TRY_DO(read_field("error", [&] { return read_error(in.getError(), finished.error); }));
  TROUPE_TRY_DO(read_field("message", [&] { return read_text(in.getMessage(), finished.message); }));
  return {};
}

TROUPE_CLUSTER_CODEC(EnginePrepare, cluster::EnginePrepare);
TROUPE_CLUSTER_CODEC(EnginePrepared, cluster::EnginePrepared);
TROUPE_CLUSTER_CODEC(EngineGenerate, cluster::EngineGenerate);
TROUPE_CLUSTER_CODEC(EngineRelease, cluster::EngineRelease);
TROUPE_CLUSTER_CODEC(EngineEmissions, cluster::EngineEmissions);
TROUPE_CLUSTER_CODEC(EngineFinished, cluster::EngineFinished);

}  // namespace troupe::schemas
