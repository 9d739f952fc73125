#include "tests/support/bits_run.hpp"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <limits>
#include <memory>
#include <optional>
#include <ranges>
#include <sstream>
#include <tuple>
#include <utility>

#include "tests/support/bits_place.hpp"
#include "tests/support/block_transfer.hpp"

namespace troupe::tests::bits {

namespace {

/// Blocks of 16 positions that are compared at the end of a case: to look at all would take longer than the case.
constexpr std::uint64_t blocks_compared_max = 100;

struct Guest {
  Guest(const Visit& whose, std::int32_t prompt_tokens, std::span<const HashedToken> answered_before)
      : visit(&whose), answered(answered_before.size()), recorder(prompt_tokens, answered_before) {}
  std::size_t heard() const { return recorder.tokens().size() - answered; }

  const Visit* visit;
  std::size_t answered;  ///< tokens, elsewhere
  Recorder recorder;
  std::optional<engine::SequenceId> id;
};

/// What a visit must answer.
struct Expected {
  std::span<const HashedToken> tokens;
  engine::FinishReason reason = engine::FinishReason::failed;
  double log_probability_sum_min = -std::numeric_limits<double>::infinity();
};

/// What the spec answers alone, up to the token with which a visit that is to stop as unsure is less probable than it may be.
Expected expected_of(const Visit& visit, const Reference& alone) {
  const auto last = std::min(static_cast<std::size_t>(visit.unsure_after), alone.tokens.size() - 1);
  double sum = 0;
  for (const HashedToken& token : std::span(alone.tokens).first(last)) sum += token.log_probability;
  if (sum == 0) return {alone.tokens, alone.reason};
  const double least = std::nextafter(sum, 0.0);
  // A token that is certain changes nothing: the first to have this sum is the one.
  std::size_t size = 0;
  for (double so_far = 0; so_far >= least; ++size) so_far += alone.tokens[size].log_probability;
  return {std::span(alone.tokens).first(size), engine::FinishReason::unsure, least};
}

std::string in_hex(std::uint64_t value) {
  std::ostringstream text;
  text << std::hex << std::setw(16) << std::setfill('0') << value;
  return text.str();
}

class CaseRun {
 public:
  CaseRun(const Schedule& schedule, Universe& universe, std::string_view defect) : schedule_(schedule), universe_(universe) {
    for (const EngineLayout& layout : schedule.engines)
      places_.push_back(open_place(layout, universe.model(), clock_, bell_, defect));
    for (const Visit& visit : schedule.visits) {
      std::span<const HashedToken> answered;
      if (visit.answered > 0) {
        answered = expected_of(visit, universe.reference(visit.spec)).tokens;
        answered = answered.first(std::min(static_cast<std::size_t>(visit.answered), answered.size() - 1));
      }
      const auto prompt_tokens = static_cast<std::int32_t>(universe.spec(visit.spec).prompt.size());
      guests_.push_back(std::make_unique<Guest>(visit, prompt_tokens, answered));
    }
  }

  CaseResult run() {
    bool going = true;
    for (tick_ = 0; going; ++tick_) {
      act();
      if (idle()) {
        going = skip_to_next_event();
      } else {
        going = step();
      }
      clock_.advance(schedule_.tick);
    }
    for (const auto& guest : guests_) compare(*guest);
    compare_some_blocks();
    for (const Place& place : places_) audit(place);
    note_features();
    return std::move(result_);
  }

 private:
  void act() {
    for (const CacheEvent& event : schedule_.cache_events) {
      if (event.tick == tick_) act(event);
    }
    for (const auto& guest : guests_) {
      const Visit& visit = *guest->visit;
      if (visit.tick == tick_) submit(*guest);
      if (guest->id && visit.ends_after && !visit.by_deadline && visit.tick + *visit.ends_after == tick_) {
        places_[visit.engine].engine->cancel(*guest->id);
      }
    }
  }

  void submit(Guest& guest) {
    const Visit& visit = *guest.visit;
    engine::GenerateRequest request = universe_.spec(visit.spec).request();
    request.priority = visit.priority;
    request.use_prefix_cache = visit.use_prefix_cache;
    request.tenant_salt = visit.tenant;
    if (visit.unsure_after > 0) {
      request.log_probability_sum_min = expected_of(visit, universe_.reference(visit.spec)).log_probability_sum_min;
    }
    for (const HashedToken& token : std::span(guest.recorder.tokens()).first(guest.answered)) {
      request.answered.push_back({.token = token.token, .log_probability = token.log_probability, .top = {}});
    }
    if (guest.answered > 0) result_.features.insert("taken up after some tokens");
    if (visit.by_deadline) request.deadline = clock_.now() + *visit.ends_after * schedule_.tick;
    auto id = places_[visit.engine].engine->submit(std::move(request), guest.recorder);
    if (id) {
      guest.id = *id;
    } else {
      differ("spec " + std::to_string(visit.spec) + " was refused: " + id.error().message);
    }
  }

  void act(const CacheEvent& event) {
    engine::Engine& source = *places_[event.source].engine;
    if (event.kind == CacheEvent::Kind::clear) {
      source.blocks().clear();
      result_.features.insert("cache cleared");
      return;
    }
    const Visit& visit = schedule_.visits[event.visit];
    const PinnedPrefix prefix(source.blocks(), universe_.all_tokens(visit.spec), visit.tenant);
    if (prefix.blocks().empty()) return;
    compare_blocks(prefix, visit.spec);
    const bool damaged = event.kind == CacheEvent::Kind::damaged_transfer;
    const auto imported = transfer(prefix, places_[event.target].engine->blocks(), damaged);
    if (imported.wrong != (damaged && imported.offered > 0 ? 1U : 0U)) {
      differ(std::to_string(imported.wrong) + " of " + std::to_string(imported.offered) + " blocks were refused");
    }
    if (imported.wrong > 0) result_.features.insert("damaged blocks refused");
    if (imported.offered > imported.wrong) result_.features.insert("blocks imported");
  }

  void compare_blocks(const PinnedPrefix& prefix, std::size_t spec) {
    const auto& expected = universe_.reference(spec).block_checksums;
    for (std::size_t i = 0; i < std::min(expected.size(), prefix.blocks().size()); ++i) {
      // Names differ between tenants, and checksums with them: payloads are compared.
      const std::uint64_t checksum = engine::block_checksum({}, prefix.payload(i));
      ++result_.blocks;
      if (checksum == expected[i]) continue;
      differ("block " + std::to_string(i) + " of spec " + std::to_string(spec) + " has checksum " + in_hex(checksum) +
             ", computed alone " + in_hex(expected[i]));
    }
  }

  /// What the last ones have left in the caches.
  void compare_some_blocks() {
    const std::uint64_t enough = result_.blocks + blocks_compared_max;
    std::set<std::tuple<std::size_t, std::size_t, std::string_view>> seen;
    for (const auto& guest : std::views::reverse(guests_)) {
      const Visit& visit = *guest->visit;
      if (result_.blocks >= enough) return;
      if (!seen.insert({visit.engine, visit.spec, visit.tenant}).second) continue;
      compare_blocks({places_[visit.engine].engine->blocks(), universe_.all_tokens(visit.spec), visit.tenant}, visit.spec);
    }
  }

  bool idle() const {
    return std::ranges::all_of(places_, [](const Place& place) { return place.engine->idle(); });
  }

  /// False if no submission or cache event is left. Moves the tick to just before the next one.
  bool skip_to_next_event() {
    std::optional<std::int32_t> next;
    const auto consider = [&](std::int32_t tick) {
      if (tick > tick_ && (!next || tick < *next)) next = tick;
    };
    for (const Visit& visit : schedule_.visits) consider(visit.tick);
    for (const CacheEvent& event : schedule_.cache_events) consider(event.tick);
    if (next) tick_ = *next - 1;
    return next.has_value();
  }

  /// One step of every engine, after waiting for experts if all wait for them. False if nothing can happen any more.
  bool step() {
    while (true) {
      bool progressed = false;
      bool waiting = false;
      for (const Place& place : places_) {
        if (place.engine->idle()) continue;
        const std::size_t before = tokens_heard();
        const engine::StepReport report = place.engine->step();
        count_step(tokens_heard() - before);
        progressed = progressed || report.progressed;
        waiting = waiting || report.passes_waiting > 0;
        if (report.passes_waiting > 1) result_.features.insert("several passes under way");
      }
      // Sequences may wait for nothing but an event of this schedule only if another one is under way.
      if (progressed || idle()) return true;
      if (waiting && bell_.wait()) continue;
      differ("the engines stand still, with requests left");
      return false;
    }
  }

  std::size_t tokens_heard() const {
    std::size_t tokens = 0;
    for (const auto& guest : guests_) tokens += guest->heard();
    return tokens;
  }
  void count_step(std::size_t tokens) {
    ++result_.steps;
    const auto which = std::ranges::lower_bound(batch_classes, static_cast<std::int32_t>(tokens)) - batch_classes.begin();
    result_.tokens_by_batch[static_cast<std::size_t>(which)] += tokens;
  }

  void compare(const Guest& guest) {
    const Visit& visit = *guest.visit;
    const Recorder& got = guest.recorder;
    const std::string name = "spec " + std::to_string(visit.spec) + " on engine " + std::to_string(visit.engine);
    if (!got.finished()) return differ(name + " never finished");
    if (!got.in_order()) differ(name + " heard its tokens out of order");
    const engine::FinishReason reason = got.finished()->reason;
    const bool ended_early = visit.ends_after && reason == (visit.by_deadline ? engine::FinishReason::deadline_exceeded
                                                                              : engine::FinishReason::cancelled);
    if (ended_early) result_.features.insert(visit.by_deadline ? "deadline missed" : "cancelled");
    const Expected expected = expected_of(visit, universe_.reference(visit.spec));
    ++result_.sequences;
    result_.tokens += guest.heard();
    const std::size_t common = std::min(expected.tokens.size(), got.tokens().size());
    for (std::size_t i = 0; i < common; ++i) {
      if (got.tokens()[i] == expected.tokens[i]) continue;
      return differ(name + " differs at token " + std::to_string(i) + " of " + std::to_string(expected.tokens.size()) +
                    " (position " + std::to_string(universe_.spec(visit.spec).prompt.size() + i) + "): token " +
                    std::to_string(got.tokens()[i].token) + ", hash " + in_hex(got.tokens()[i].hash) + "; alone token " +
                    std::to_string(expected.tokens[i].token) + ", hash " + in_hex(expected.tokens[i].hash));
    }
    if (ended_early && got.tokens().size() <= expected.tokens.size()) return;
    if (reason == engine::FinishReason::unsure) {
      result_.features.insert(guest.answered > 0 ? "stopped as unsure, taken up after some tokens" : "stopped as unsure");
    }
    if (got.tokens().size() == expected.tokens.size() && reason == expected.reason) return;
    differ(name + " has " + std::to_string(got.tokens().size()) + " tokens and ended as " +
           std::string(engine::to_string(reason)) + "; alone " + std::to_string(expected.tokens.size()) + " tokens, " +
           std::string(engine::to_string(expected.reason)));
  }

  /// Nothing is held or promised once all have gone.
  void audit(const Place& place) {
    const engine::EngineCounters counters = place.engine->counters();
    if (counters.waiting != 0 || counters.running != 0) differ("an engine counts sequences after the last has finished");
    if (counters.blocks_held != 0 || counters.blocks_reserved != 0 ||
        counters.blocks_free + counters.blocks_cached != counters.blocks) {
      differ("of " + std::to_string(counters.blocks) + " blocks " + std::to_string(counters.blocks_held) + " are held, " +
             std::to_string(counters.blocks_reserved) + " promised, " + std::to_string(counters.blocks_free) + " free and " +
             std::to_string(counters.blocks_cached) + " cached after the last sequence has finished");
    }
    if (counters.blocks_evicted > 0) result_.features.insert("blocks evicted");
    if (counters.tokens_reused > 0) result_.features.insert("prefix reused");
    if (place.late != nullptr && place.late->most_under_way() > 0) result_.features.insert("late experts");
    if (place.late != nullptr && place.late->most_under_way() > 1) result_.features.insert("late experts, several works");
  }

  void note_features() {
    for (const EngineLayout& layout : schedule_.engines) {
      result_.features.insert(kernels::to_string(layout.instruction_set));
      if (layout.threads > 1) result_.features.insert("several threads");
    }
    if (schedule_.engines.size() > 1) result_.features.insert("two engines");
    if (schedule_.visits.size() >= 25) result_.features.insert("25 sequences or more");
    for (const auto& guest : guests_) {
      const Spec& spec = universe_.spec(guest->visit->spec);
      const auto prompt = static_cast<std::int32_t>(spec.prompt.size());
      const auto all = prompt + static_cast<std::int32_t>(guest->recorder.tokens().size());
      const engine::EngineOptions& options = schedule_.engines[guest->visit->engine].options;
      if (all > 256) result_.features.insert("attention over several spans");
      if (all > 512) result_.features.insert("attention over three spans or more");
      if (prompt > std::min(options.batch.chunk_tokens_max, options.batch.tokens_max))
        result_.features.insert("prompt in chunks");
      result_.features.insert(spec.sampling.temperature > 0 ? "sampled" : "greedy");
    }
    result_.features.insert(universe_.name());
  }

  void differ(std::string what) {
    result_.differences.push_back("case " + std::to_string(schedule_.number) + ", model " + std::string(universe_.name()) +
                                  ": " + std::move(what));
  }

  const Schedule& schedule_;
  Universe& universe_;
  ManualClock clock_;
  Bell bell_;
  std::vector<std::unique_ptr<Guest>> guests_;  // outlive the engines, which call them
  std::vector<Place> places_;
  std::int32_t tick_ = 0;
  CaseResult result_;
};

}  // namespace

CaseResult run_case(const Schedule& schedule, Universe& universe, std::string_view defect) {
  return CaseRun(schedule, universe, defect).run();
}

}  // namespace troupe::tests::bits
