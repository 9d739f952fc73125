#include "tests/support/bits_schedule.hpp"

#include <algorithm>
#include <initializer_list>
#include <sstream>

#include "base/random.hpp"
#include "policy/admission.hpp"

namespace troupe::tests::bits {

namespace {

/// Prompt tokens of a case, so that no case takes seconds. Plain C++ is some ten times slower.
constexpr std::int64_t prompt_tokens_max = 3000;
constexpr std::int64_t prompt_tokens_max_plain = 500;
/// On a GPU a case takes as long as its steps, whatever is in them. In thousandths of a step.
constexpr std::int64_t millisteps_max = 1'000'000;

template <class T>
T one_of(Random& random, std::initializer_list<T> values) {
  return values.begin()[random.below(values.size())];
}

std::int32_t between(Random& random, std::int64_t low, std::int64_t high) {
  return static_cast<std::int32_t>(random.between(low, high));
}

kernels::InstructionSet draw_instruction_set(Random& random) {
  std::vector<kernels::InstructionSet> sets;
  for (const auto set : kernels::instruction_sets) {
    if (kernels::is_supported(set)) sets.push_back(set);
  }
  // The first is plain C++, which is slow: it gets a smaller share.
  return sets.size() == 1 || random.chance(0.2F) ? sets.front() : sets[1 + random.below(sets.size() - 1)];
}

/// `wide`: many sequences may meet in a step.
EngineLayout draw_gpu_engine(Random& random, bool wide) {
  EngineLayout layout;
  layout.on_gpu = true;
  layout.options.batch.tokens_max = one_of(random, {between(random, 1, 8), between(random, 9, 64), between(random, 65, 1024)});
  layout.options.batch.chunk_tokens_max = one_of(random, {between(random, 1, 8), 15, 16, 17, between(random, 9, 200), 1024});
  layout.options.batch.sequences_max =
      one_of(random, {1, between(random, 2, 8), between(random, 9, 64), between(random, 65, 256)});
  if (wide) {
    layout.options.batch.tokens_max = one_of(random, {between(random, 256, 1024), 1024});
    layout.options.batch.chunk_tokens_max = one_of(random, {16, 17, between(random, 9, 200), 1024});
    layout.options.batch.sequences_max = one_of(random, {between(random, 65, 256), 256, 256});
  }
  layout.options.passes = one_of(random, {1, 2, 2});
  return layout;
}

EngineLayout draw_engine(Random& random, bool has_experts) {
  EngineLayout layout;
  layout.instruction_set = draw_instruction_set(random);
  layout.threads = one_of(random, {1, 1, 2, 3, 4});
  layout.options.batch.tokens_max = one_of(random, {between(random, 1, 8), between(random, 9, 64), between(random, 65, 512)});
  layout.options.batch.chunk_tokens_max = one_of(random, {between(random, 1, 8), 15, 16, 17, between(random, 9, 100), 512});
  layout.options.batch.sequences_max = one_of(random, {1, between(random, 2, 8), between(random, 9, 64), 64});
  layout.options.passes = between(random, 1, 3);
  if (has_experts && random.chance(0.6F)) {
    layout.late_experts =
        LateLayout{draw_instruction_set(random), one_of(random, {1, 1, 2}), one_of(random, {0, 100, 400}), random.next()};
  }
  return layout;
}

/// The families that a case takes its requests from: few, so that prefixes meet.
std::vector<std::size_t> draw_families(Random& random) {
  std::vector<std::size_t> families(static_cast<std::size_t>(random.between(1, 4)));
  for (std::size_t& family : families) family = random.below(Universe::families);
  return families;
}

Visit draw_visit(Random& random, const std::vector<std::size_t>& families, std::size_t engines, std::int32_t spread) {
  Visit visit;
  visit.spec = families[random.below(families.size())] * Universe::family_members + random.below(Universe::family_members);
  visit.engine = random.below(engines);
  visit.tick = between(random, 0, spread);
  visit.priority = static_cast<engine::Priority>(random.below(3));
  visit.use_prefix_cache = random.chance(0.85F);
  visit.tenant = random.chance(0.8F) ? "" : "another tenant";
  if (random.chance(0.2F)) visit.answered = between(random, 1, between(random, 1, 200));
  return visit;
}

/// What a request takes of what a case may take.
std::int64_t cost_of(const Spec& spec, const EngineLayout& layout) {
  const auto prompt = static_cast<std::int64_t>(spec.prompt.size());
  if (!layout.on_gpu) return prompt;
  const policy::BatchLimits& limits = layout.options.batch;
  const std::int64_t sequences = std::min(limits.sequences_max, limits.tokens_max);
  const std::int64_t prompt_tokens = std::min<std::int64_t>(limits.tokens_max, sequences * limits.chunk_tokens_max);
  return 1000 * prompt / prompt_tokens + 1000 * spec.tokens_max / sequences;
}

std::int32_t draw_count(Random& random, bool on_gpu, bool wide) {
  if (wide) return between(random, 200, 600);
  return one_of(random, {1, between(random, 2, 8), between(random, 2, 8), between(random, 9, 24),
                         on_gpu ? between(random, 65, 300) : between(random, 25, 64)});
}

void draw_visits(Random& random, Universe& universe, Schedule& schedule, bool wide) {
  const bool on_gpu = schedule.engines.front().on_gpu;
  const std::int32_t count = draw_count(random, on_gpu, wide);
  const std::int32_t spread = wide ? one_of(random, {0, 5}) : one_of(random, {0, 5, 30, 150});
  const float share_ended_early = one_of(random, {0.0F, 0.0F, 0.15F, 0.5F});
  const auto families = draw_families(random);
  const bool any_plain = std::ranges::any_of(schedule.engines, [](const EngineLayout& layout) {
    return (layout.instruction_set == kernels::InstructionSet::plain && !layout.on_gpu) ||
           (layout.late_experts && layout.late_experts->instruction_set == kernels::InstructionSet::plain);
  });
  std::int64_t left = on_gpu ? millisteps_max : any_plain ? prompt_tokens_max_plain : prompt_tokens_max;
  for (std::int32_t i = 0; i < count && left > 0; ++i) {
    Visit visit = draw_visit(random, families, schedule.engines.size(), spread);
    if (random.chance(share_ended_early)) {
      visit.ends_after = between(random, 0, 40);
      visit.by_deadline = random.chance(0.3F);
    }
    left -= cost_of(universe.spec(visit.spec), schedule.engines[visit.engine]);
    schedule.visits.push_back(visit);
  }
}

/// Drawn apart: the rest is drawn as it is without.
void draw_unsure(Random random, Schedule& schedule) {
  for (Visit& visit : schedule.visits) {
    if (random.chance(0.2F)) visit.unsure_after = between(random, 1, between(random, 1, 40));
  }
}

void draw_cache_events(Random& random, Schedule& schedule) {
  const std::int32_t last = std::ranges::max_element(schedule.visits, {}, &Visit::tick)->tick + 30;
  const auto add = [&](CacheEvent::Kind kind) {
    const std::size_t source = random.below(schedule.engines.size());
    schedule.cache_events.push_back(
        {kind, between(random, 1, last), source, (source + 1) % schedule.engines.size(), random.below(schedule.visits.size())});
  };
  if (random.chance(0.2F)) add(CacheEvent::Kind::clear);
  if (schedule.engines.size() < 2) return;
  for (std::int64_t i = random.between(1, 8); i > 0; --i) {
    add(random.chance(0.15F) ? CacheEvent::Kind::damaged_transfer : CacheEvent::Kind::transfer);
  }
}

/// Pools from just enough for the largest request to enough for all of them.
void draw_pools(Random& random, Universe& universe, Schedule& schedule, bool wide) {
  for (std::size_t engine = 0; engine < schedule.engines.size(); ++engine) {
    std::int32_t largest = 1;
    std::int32_t together = 1;
    for (const Visit& visit : schedule.visits) {
      if (visit.engine != engine) continue;
      const Spec& spec = universe.spec(visit.spec);
      const std::int32_t blocks =
          policy::blocks_for(static_cast<std::int32_t>(spec.prompt.size()) + spec.tokens_max, engine::kv_block_positions);
      largest = std::max(largest, blocks);
      together += blocks;
    }
    schedule.engines[engine].options.kv_blocks =
        wide ? one_of(random, {between(random, largest, together), together + 8, together + 8})
             : one_of(random,
                      {largest, largest + between(random, 0, largest), between(random, largest, together), together + 8});
  }
}

}  // namespace

Schedule draw_schedule(std::uint64_t seed, std::uint64_t number, std::deque<Universe>& universes) {
  Random random(seed ^ 0x5EED0F0CA5E5U, number);
  Schedule schedule;
  schedule.number = number;
  // Drawn apart: with another number of models the rest is drawn as before.
  schedule.universe = Random(seed ^ 0x0F0CA5E5U, number).below(universes.size());
  Universe& universe = universes[schedule.universe];
  const bool has_experts = universe.model().config.moe.has_value();
  const bool on_gpu = universe.device_kind() == kernels::DeviceKind::cuda;
  const bool wide = on_gpu && random.chance(0.3F);
  for (int engines = random.chance(0.35F) ? 2 : 1; engines > 0; --engines) {
    schedule.engines.push_back(on_gpu ? draw_gpu_engine(random, wide) : draw_engine(random, has_experts));
  }
  draw_visits(random, universe, schedule, wide);
  draw_unsure(Random(seed ^ 0x0115E1DF1008U, number), schedule);
  draw_cache_events(random, schedule);
  draw_pools(random, universe, schedule, wide);
  // Some clocks are so fast that waiting requests are promoted.
  schedule.tick = random.chance(0.2F) ? Duration(std::chrono::seconds(1)) : Duration(std::chrono::milliseconds(1));
  return schedule;
}

std::string describe(const Schedule& schedule, Universe& universe) {
  std::ostringstream text;
  text << "case " << schedule.number << " of model " << universe.name() << "\n";
  for (const EngineLayout& layout : schedule.engines) {
    const auto& options = layout.options;
    text << "  engine: ";
    if (layout.on_gpu) {
      text << "GPU, ";
    } else {
      text << kernels::to_string(layout.instruction_set) << ", " << layout.threads << " threads, ";
    }
    text << options.kv_blocks << " blocks, up to " << options.batch.tokens_max << " tokens and " << options.batch.sequences_max
         << " sequences a step, chunks of " << options.batch.chunk_tokens_max << ", " << options.passes << " passes";
    if (const auto& late = layout.late_experts) {
      text << ", late experts on " << kernels::to_string(late->instruction_set) << " with " << late->threads
           << " threads and pauses up to " << late->pause_us_max << " us";
    }
    text << "\n";
  }
  for (const Visit& visit : schedule.visits) {
    const Spec& spec = universe.spec(visit.spec);
    text << "  tick " << visit.tick << ": engine " << visit.engine << " gets spec " << visit.spec << " (prompt "
         << spec.prompt.size() << ", answer up to " << spec.tokens_max << ", temperature " << spec.sampling.temperature << ")"
         << (visit.use_prefix_cache ? "" : ", no prefix cache") << (visit.tenant.empty() ? "" : ", other tenant");
    if (visit.unsure_after > 0) text << ", stops as unsure after " << visit.unsure_after;
    if (visit.answered > 0) text << ", up to " << visit.answered << " answered elsewhere";
    if (visit.ends_after) text << (visit.by_deadline ? ", deadline after " : ", cancelled after ") << *visit.ends_after;
    text << "\n";
  }
  for (const CacheEvent& event : schedule.cache_events) {
    text << "  tick " << event.tick << ": "
         << (event.kind == CacheEvent::Kind::clear
                 ? "clear engine " + std::to_string(event.source)
                 : (event.kind == CacheEvent::Kind::transfer ? "move blocks" : "move damaged blocks") +
                       std::string(" of spec ") + std::to_string(schedule.visits[event.visit].spec) + " to engine " +
                       std::to_string(event.target))
         << "\n";
  }
  return text.str();
}

}  // namespace troupe::tests::bits
