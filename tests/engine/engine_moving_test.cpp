// What moves between engines: blocks, and answers that have begun.
#include "tests/engine/engine_fixture.hpp"
#include "tests/support/block_transfer.hpp"

namespace troupe::engine {
namespace {

using model::TokenId;

TEST_F(EngineTest, BlocksOfOneEngineServeAnother) {
  Engine& source = make(blocks(32));
  Recorder recorder;
  const GenerateRequest asked = request(64, 4);
  ASSERT_TRUE(source.submit(asked, recorder));
  while (!source.idle()) source.step();
  const auto target = Engine::create(*model_, *device_, clock_, blocks(32)).value();
  EXPECT_EQ(tests::transfer(tests::PinnedPrefix(source.blocks(), asked.prompt, ""), target->blocks()).usable, 4U);
  EXPECT_TRUE(tests::PinnedPrefix(source.blocks(), asked.prompt, "other tenant").blocks().empty());
  Recorder other;
  ASSERT_TRUE(target->submit(asked, other));
  while (!target->idle()) target->step();
  EXPECT_EQ(other.finished->statistics.reused_tokens, 48) << "the last token is always computed";
  EXPECT_EQ(other.tokens, recorder.tokens);
}

TEST_F(EngineTest, AnAnswerGoesOnWhereAnotherEngineLeftIt) {
  for (const float temperature : {0.0F, 5.0F}) {
    GenerateRequest asked = request(40, 24);
    asked.sampling.temperature = temperature;
    asked.sampling.seed = 7;
    Recorder whole;
    Engine& source = make(blocks(32));
    ASSERT_TRUE(source.submit(asked, whole));
    while (!source.idle()) source.step();
    ASSERT_EQ(whole.tokens.size(), 24U);
    for (const std::size_t known : {std::size_t{1}, std::size_t{9}, std::size_t{23}, std::size_t{24}}) {
      const auto target = Engine::create(*model_, *device_, clock_, blocks(32)).value();
      GenerateRequest rest = asked;
      for (std::size_t i = 0; i < known; ++i)
        rest.answered.push_back({.token = whole.tokens[i], .log_probability = {}, .top = {}});
      // With the blocks of the first engine, and without: the same.
      if (known % 2 == 1) tests::transfer(tests::PinnedPrefix(source.blocks(), asked.prompt, ""), target->blocks());
      Recorder recorder;
      recorder.tokens.assign(whole.tokens.begin(), whole.tokens.begin() + static_cast<std::ptrdiff_t>(known));
      ASSERT_TRUE(target->submit(rest, recorder));
      while (!target->idle()) target->step();
      ASSERT_TRUE(recorder.finished);
      EXPECT_EQ(recorder.tokens, whole.tokens);
      EXPECT_EQ(recorder.finished->reason, FinishReason::length);
      EXPECT_EQ(recorder.finished->statistics.generated_tokens, 24);
      EXPECT_EQ(target->counters().blocks_held, 0);
      EXPECT_EQ(target->counters().blocks_reserved, 0);
    }
  }
}

TEST_F(EngineTest, RefusesAnAnswerThatCannotHaveBegunSo) {
  Engine& engine = make(blocks(32));
  Recorder recorder;
  GenerateRequest asked = request(16, 2);
  asked.answered.resize(3);
  EXPECT_FALSE(engine.submit(asked, recorder)) << "longer than it may become";
  asked.answered.resize(1);
  asked.answered[0].token = -1;
  const auto refused = engine.submit(asked, recorder);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("answered token 0 is -1"), std::string::npos) << refused.error().message;
}

}  // namespace
}  // namespace troupe::engine
