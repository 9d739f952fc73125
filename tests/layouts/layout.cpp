#include "tests/layouts/layout.hpp"

#include <algorithm>
#include <initializer_list>
#include <sstream>

#include "base/check.hpp"
#include "base/random.hpp"
#include "policy/admission.hpp"

namespace troupe::tests::layouts {

namespace {

template <class T>
T one_of(Random& random, std::initializer_list<T> values) {
  return values.begin()[random.below(values.size())];
}

std::int32_t between(Random& random, std::int64_t low, std::int64_t high) {
  return static_cast<std::int32_t>(random.between(low, high));
}

kernels::InstructionSet draw_instruction_set(Random& random) {
  // Plain C++ is some ten times slower, and has its own test.
  std::vector<kernels::InstructionSet> sets;
  for (const auto set : kernels::instruction_sets) {
    if (kernels::is_supported(set) && set != kernels::InstructionSet::plain) sets.push_back(set);
  }
  return sets.empty() ? kernels::InstructionSet::plain : sets[random.below(sets.size())];
}

void draw_nodes(Random& random, bool has_experts, Layout& layout) {
  const int nodes = one_of(random, {1, 2, 2, 3, 3, 4, 4});
  for (int i = 0; i < nodes; ++i) {
    NodeLayout node;
    node.name = "n" + std::to_string(i);
    node.runs_sequences = i == 0 || !has_experts || random.chance(0.75F);
    node.instruction_set = draw_instruction_set(random);
    auto& batch = node.options.batch;
    batch.tokens_max = one_of(random, {between(random, 3, 16), between(random, 17, 64), between(random, 65, 200)});
    batch.chunk_tokens_max = one_of(random, {between(random, 2, 8), 15, 16, 17, between(random, 18, 100)});
    batch.sequences_max = one_of(random, {1, between(random, 2, 6), 12});
    node.options.passes = between(random, 1, 3);
    node.host_blocks = static_cast<std::size_t>(one_of(random, {0, between(random, 1, 3), 40}));
    node.disk_blocks = static_cast<std::size_t>(one_of(random, {0, between(random, 1, 4), 60}));
    layout.nodes.push_back(std::move(node));
  }
}

void draw_questions(Random& random, const std::vector<std::vector<std::size_t>>& families, Layout& layout) {
  // Few, so that beginnings are shared, and most are asked again and again, here and there.
  std::vector<std::size_t> prompts;
  const auto& first = families[random.below(families.size())];
  const auto& second = families[random.below(families.size())];
  for (std::int64_t i = random.between(1, 6); i > 0; --i) {
    const auto& family = random.chance(0.5F) ? first : second;
    prompts.push_back(family[random.below(family.size())]);
  }
  const std::int32_t count = one_of(random, {between(random, 2, 8), between(random, 9, 20), between(random, 21, 40)});
  const std::int32_t spread = one_of(random, {0, 150, 400, 800});
  for (std::int32_t i = 0; i < count; ++i) {
    Question question;
    question.prompt = prompts[random.below(prompts.size())];
    do {
      question.node = random.below(layout.nodes.size());
    } while (!layout.nodes[question.node].runs_sequences);
    question.tick = between(random, 0, spread);
    question.priority = static_cast<engine::Priority>(random.below(3));
    question.use_prefix_cache = random.chance(0.9F);
    question.waits_for_blocks = random.chance(0.7F);
    question.tenant = random.chance(0.85F) ? "" : "another tenant";
    layout.questions.push_back(std::move(question));
  }
}

void draw_happenings(Random& random, bool has_experts, Layout& layout) {
  using Kind = Happening::Kind;
  const auto add = [&](Kind kind, std::int32_t tick, std::size_t node) { layout.happenings.push_back({kind, tick, node}); };
  // Soon after a question, mostly at its node, so that it finds something under way.
  const auto add_soon = [&](Kind kind) {
    const Question& question = layout.questions[random.below(layout.questions.size())];
    const std::size_t node = random.chance(0.6F) ? question.node : random.below(layout.nodes.size());
    add(kind, question.tick + between(random, 1, 40), node);
    return layout.happenings.back();
  };
  for (int clears = one_of(random, {0, 1, 3, 6}); clears > 0; --clears) add_soon(Kind::clear);
  if (layout.nodes.size() < 2) return;
  for (int kills = one_of(random, {0, 1, 2, 3}); kills > 0; --kills) {
    const Happening kill = add_soon(Kind::kill);
    if (random.chance(0.7F)) add(Kind::restart, kill.tick + between(random, 1, 40), kill.node);
  }
  for (int drains = one_of(random, {0, 1, 1, 2}); drains > 0; --drains) {
    const Happening drain = add_soon(Kind::drain);
    if (random.chance(0.6F)) add(Kind::join, drain.tick + between(random, 5, 60), drain.node);
  }
  if (has_experts && random.chance(0.4F)) add_soon(Kind::withdraw);
}

/// From just enough for the largest question to enough for all; any of them may come to any node.
void draw_pools(Random& random, bits::Universe& universe, Layout& layout) {
  std::int32_t largest = 1;
  std::int32_t together = 8;
  for (const Question& question : layout.questions) {
    const auto& spec = universe.spec(question.prompt);
    const auto positions = static_cast<std::int32_t>(spec.prompt.size()) + spec.tokens_max;
    const std::int32_t blocks = policy::blocks_for(positions, engine::kv_block_positions);
    largest = std::max(largest, blocks);
    together += blocks;
  }
  for (NodeLayout& node : layout.nodes)
    node.options.kv_blocks = one_of(random, {largest, largest + between(random, 1, largest), together});
}

Troubles draw_troubles(Random& random) {
  Troubles troubles;
  troubles.delay_us_max = one_of<std::int64_t>(random, {0, 100, 1000});
  if (random.chance(0.3F)) return troubles;  // a good day
  const auto rare = [&](float most) { return random.chance(0.5F) ? most * random.uniform() : 0.0F; };
  troubles.late = rare(0.03F);
  troubles.repeated = rare(0.2F);
  troubles.lost = rare(0.03F);
  troubles.fails = rare(0.4F);
  troubles.torn = rare(0.6F);
  troubles.broken = rare(0.01F);
  troubles.let_go = rare(0.8F);
  troubles.misplaced = rare(0.4F);
  troubles.spoilt = rare(0.5F);
  return troubles;
}

}  // namespace

std::string_view to_string(Happening::Kind kind) {
  switch (kind) {
    case Happening::Kind::kill: return "is killed";
    case Happening::Kind::restart: return "starts again";
    case Happening::Kind::drain: return "is drained";
    case Happening::Kind::join: return "joins again";
    case Happening::Kind::withdraw: return "withdraws its experts";
    case Happening::Kind::clear: return "forgets its cache";
  }
  return "unknown";
}

policy::ExpertPlacement draw_placement(Random& random, const policy::ExpertShape& shape,
                                       const std::vector<policy::NodeId>& nodes) {
  std::vector<policy::ExpertRoom> rooms;
  const std::size_t all = static_cast<std::size_t>(shape.count()) * shape.expert_bytes;
  for (const policy::NodeId& node : nodes) rooms.push_back({node, all});
  policy::ExpertPlacement placement;
  if (random.chance(0.5F)) {
    const auto replicas = between(random, 1, std::min<std::int64_t>(2, static_cast<std::int64_t>(rooms.size())));
    placement = policy::place_experts(shape, rooms, replicas).value();
  } else {
    const float share = one_of(random, {0.0F, 0.2F, 0.6F});
    for (const auto id : policy::ExpertSelection::all(shape).ids()) {
      const std::size_t first = random.below(rooms.size());
      for (std::size_t i = 0; i < rooms.size(); ++i) {
        if (i == first || random.chance(share)) placement.holders[id].push_back(rooms[i].node);
      }
    }
  }
  TROUPE_CHECK(policy::validate(placement, shape, rooms).has_value(), "a layout's placement is valid");
  return placement;
}

std::uint64_t layout_seed(std::uint64_t seed, std::uint64_t number) { return Random(seed, number).next(); }

Layout draw_layout(std::uint64_t seed, Prompts& prompts) {
  Random random(seed, 1);
  Layout layout;
  layout.seed = seed;
  do {
    layout.model = random.below(prompts.models());
  } while (!prompts.has_experts(layout.model) && random.chance(0.5F));  // most of what can go wrong is about experts
  const bool has_experts = prompts.has_experts(layout.model);
  draw_nodes(random, has_experts, layout);
  if (has_experts) {
    const auto shape = model::expert_shape(prompts.universe(layout.model).model().config);
    std::vector<policy::NodeId> names;
    for (const NodeLayout& node : layout.nodes) names.push_back({node.name});
    const auto placement = draw_placement(random, shape, names);
    for (NodeLayout& node : layout.nodes) node.experts = placement.of({node.name});
  }
  draw_questions(random, prompts.families(layout.model), layout);
  draw_happenings(random, has_experts, layout);
  draw_pools(random, prompts.universe(layout.model), layout);
  layout.troubles = draw_troubles(random);
  layout.seconds_per_token = one_of(random, {0.0, 0.0, 0.001, 0.00001});
  return layout;
}

std::string describe(const Layout& layout, Prompts& prompts) {
  std::ostringstream text;
  text << "layout " << layout.seed << ": model " << prompts.tiny(layout.model).name << ", " << layout.nodes.size()
       << " nodes\n";
  for (const NodeLayout& node : layout.nodes) {
    text << "  " << node.name << ": ";
    if (node.runs_sequences) {
      const auto& options = node.options;
      text << "engine on " << kernels::to_string(node.instruction_set) << " with " << options.kv_blocks << " blocks ("
           << node.host_blocks << " more in memory, " << node.disk_blocks << " on disk), " << options.batch.tokens_max
           << " tokens and " << options.batch.sequences_max << " sequences a step, chunks of " << options.batch.chunk_tokens_max
           << ", " << options.passes << " passes";
    } else {
      text << "no engine";
    }
    if (!node.experts.empty()) text << "; experts of " << policy::to_string(node.experts);
    text << "\n";
  }
  for (const Question& question : layout.questions) {
    const auto& spec = prompts.universe(layout.model).spec(question.prompt);
    text << "  tick " << question.tick << ": " << layout.nodes[question.node].name << " is asked prompt " << question.prompt
         << " (" << spec.prompt.size() << " tokens, answer up to " << spec.tokens_max << ", temperature "
         << spec.sampling.temperature << ")" << (question.use_prefix_cache ? "" : ", no prefix cache")
         << (question.waits_for_blocks ? "" : ", at once") << (question.tenant.empty() ? "" : ", other tenant") << "\n";
  }
  for (const Happening& happening : layout.happenings)
    text << "  tick " << happening.tick << ": " << layout.nodes[happening.node].name << " " << to_string(happening.kind)
         << "\n";
  const Troubles& troubles = layout.troubles;
  text << "  delays up to " << troubles.delay_us_max << " us; shares late " << troubles.late << ", repeated "
       << troubles.repeated << ", lost " << troubles.lost << ", failing " << troubles.fails << ", torn " << troubles.torn
       << ", connections broken " << troubles.broken << ", blocks let go " << troubles.let_go << ", misplaced "
       << troubles.misplaced << ", spoilt on disk " << troubles.spoilt << "\n";
  return text.str();
}

}  // namespace troupe::tests::layouts
