// The program as its users meet it: what it prints, how it refuses, and with which status it ends.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "tests/cli/run_troupe.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe {
namespace {

using tests::expect_refusal;
using tests::Outcome;
using tests::troupe;

const std::string question =
    "--system 'You answer from the numbered sources and cite them.' "
    "\"$(printf '[1] Records Policy §2.4: Access logs are kept for 180 days.\\n\\nQuestion: How long do we keep access "
    "logs?')\"";

TEST(Troupe, AnswersAQuestionFromASource) {
  const Outcome run = troupe("generate --quiet --model heavy " + question);
  EXPECT_EQ(run.status, 0);
  EXPECT_NE(run.output.find("180 days [1]."), std::string::npos) << run.output;
}

TEST(Troupe, AnswersTheSameOnEveryInstructionSetAndAnyNumberOfThreads) {
  const std::string sampled = "generate --quiet --temperature 1 --seed 5 --raw -n 24 'The retention period for'";
  const Outcome best = troupe(sampled);
  EXPECT_EQ(best.status, 0);
  EXPECT_EQ(troupe(sampled + " --isa plain --threads 3 --batch-tokens 2").output, best.output);
  std::string padded = sampled;
  padded.replace(padded.find("--seed 5"), 8, "--seed 0005");
  EXPECT_EQ(troupe(padded).output, best.output) << "a number is decimal however it begins";
}

TEST(Troupe, PrintsOneJsonObjectAnAnswerInTheOrderOfThePrompts) {
  const Outcome run = troupe(R"(generate --json --input - <<'END'
{"id": "first", "prompt": "The retention period"}

{"id": "second", "messages": [{"role": "user", "content": "Hello"}]}
END
)");
  EXPECT_EQ(run.status, 0) << run.output;
  const auto first = run.output.find(R"({"id":"first")");
  const auto second = run.output.find(R"({"id":"second")");
  ASSERT_NE(first, std::string::npos) << run.output;
  ASSERT_NE(second, std::string::npos) << run.output;
  EXPECT_LT(first, second);
  for (const char* key :
       {"text", "finish_reason", "prompt_tokens", "reused_tokens", "generated_tokens", "log_probability_sum", "seconds"}) {
    EXPECT_NE(run.output.find('"' + std::string(key) + "\":"), std::string::npos) << key;
  }
}

TEST(Troupe, RefusesWithTheNameOfWhatIsWrong) {
  expect_refusal("generate --model nosuch Hi", 1, "there is no model nosuch (looked for portfolio/nosuch");
  expect_refusal("generate --model '' Hi", 1, "the model's name is empty; give a Hugging Face folder");
  expect_refusal("generate --model README.md Hi", 1, "README.md is a file");
  expect_refusal("generate", 1, "there is no prompt");
  expect_refusal("generate --file nowhere.txt", 1, "nowhere.txt: cannot open: No such file or directory");
  expect_refusal("generate --temperature -3 Hi", 1, "temperature is -3, expected 0");
  expect_refusal("generate --max-tokens 99999 Hi", 1, "the context holds 2048");
  expect_refusal("generate --context 9999 Hi", 1, "a context of 9999");
  expect_refusal("generate --raw ''", 1, "the prompt has 0 tokens");
  expect_refusal("generate \"$(printf 'caf\\351')\"", 1, "is not valid UTF-8 at byte 3");
  expect_refusal("bench engine --config portfolio/mini/tokenizer.json", 1, "model_type is missing");
}

TEST(Troupe, ComputesWhereItIsTold) {
  const Outcome gpu = troupe("generate --device cuda Hi");
  if (gpu.status != 0) {
    EXPECT_EQ(gpu.status, 1);
    EXPECT_TRUE(gpu.output.find("or compute on the CPU") != std::string::npos ||
                gpu.output.find("no kernels for GPUs") != std::string::npos)
        << gpu.output;
  }
  const std::string sampled = "generate --quiet --temperature 1 --seed 5 --raw -n 24 'The retention period for'";
  EXPECT_EQ(troupe(sampled + " --device cpu").status, 0);
  expect_refusal("bench engine --device cuda", 1, "this measures CPUs");
  expect_refusal("node --placement /dev/null --device cuda", 1, "leave one of them out");
  EXPECT_EQ(troupe("generate --device tpu Hi").status, 2);
}

TEST(Troupe, RunsATierOnce) { expect_refusal("node --tier mini --tier mini=elsewhere", 1, "--tier is given twice for mini"); }

TEST(Troupe, RunsNoModelThatCannotHoldAConversation) {
  const tests::TemporaryFolder folder;
  const std::string at = folder.path().string();
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json"}) {
    std::filesystem::create_symlink(std::filesystem::path(TROUPE_SOURCE_DIR) / "portfolio/mini" / name, folder.path() / name);
  }
  const std::string start = "node --listen 127.0.0.1:0 --cluster 127.0.0.1:0 --data " + at + "/data --tier mini=" + at;
  expect_refusal(start, 1, at + ": the model has no chat template, so it cannot hold a conversation; write one");
  std::ofstream(folder.path() / "tokenizer_config.json") << "{}";
  std::ofstream(folder.path() / "chat_template.jinja")
      << "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}";
  expect_refusal(start, 1, at + ": its chat template takes no system message and a question: ");
}

TEST(Troupe, TakesOnlyFaultsThatANodeCanHave) {
  expect_refusal("node --fault mini", 1, "fault \"mini\": expected TIER=slow:MILLISECONDS");
  expect_refusal("node --fault mini=slow", 1, "as in mini=slow:500");
  expect_refusal("node --tier mini --fault heavy=stuck", 1, "this node runs no heavy");
  expect_refusal("node --fault mini=stuck --fault mini=dead", 1, "--fault is given twice for mini");
}

TEST(Troupe, NamesTheLineOfABadInputFile) {
  const auto refused = [](const std::string& line, std::string_view message) {
    expect_refusal("generate --input - <<'END'\n{\"prompt\": \"x\"}\n" + line + "\nEND\n", 1, message);
  };
  refused(R"({"id": 1, "prompt": "x"})", "-:2: id is 1");
  refused(R"({"prompt": "x", "messages": []})", "-:2: expected either \"prompt\"");
  refused(R"({"messages": []})", "-:2: \"messages\" is empty");
  refused(R"({"prompt": "x")", "-:2: not valid JSON at byte");
  refused(R"({"id": "1", "prompt": "y"})", "-:2: id \"1\" is that of line 1 too");
  refused("{\"prompt\": 1}\n{\"id\": 2}", "\n-:3: id is 2");
}

TEST(Troupe, EndsWithTwoForAWrongCommandLine) {
  expect_refusal("", 2, "subcommand is required");
  expect_refusal("policy frob --help", 2, "there is no command \"frob\"");
  expect_refusal("frob --help", 2, "there is no command \"frob\"");
  expect_refusal("generate --bogus", 2, "--bogus");
  expect_refusal("generate --events Hi", 2, "--json");
  expect_refusal("generate --log-probabilities 3 Hi", 2, "--log-probabilities requires --json");
  expect_refusal("generate --raw --system Short. Hi", 2, "excludes");
  expect_refusal("generate --seed -1 Hi", 2, "--seed");
  for (const char* deadline : {"nan", "-1", "1e10", "soon"})
    expect_refusal("generate --deadline " + std::string(deadline) + " Hi", 2, "is not from 0 to 86400 seconds");
  expect_refusal("generate --isa mmx Hi", 2, "mmx");
}

TEST(Troupe, ExplainsItself) {
  for (const char* command : {"--help", "generate --help", "model inspect --help", "bench engine --help"}) {
    const Outcome run = troupe(command);
    EXPECT_EQ(run.status, 0) << command;
    EXPECT_NE(run.output.find("Usage: troupe"), std::string::npos) << command;
  }
}

TEST(Troupe, InspectsAModel) {
  const Outcome run = troupe("model inspect heavy --json");
  EXPECT_EQ(run.status, 0);
  for (const char* part : {R"("architecture": "Qwen3MoeForCausalLM")", R"("numeric_class": "cpu-f32-v1")",
                           R"("total": 13789504)", R"("fingerprint")"}) {
    EXPECT_NE(run.output.find(part), std::string::npos) << part << "\n" << run.output;
  }
}

TEST(Troupe, PlacesExpertsOnNodes) {
  const Outcome run = troupe("model placement heavy --node a --node b=512 --replicas 2");
  EXPECT_EQ(run.status, 0) << run.output;
  for (const char* part : {"[[experts]]", "model = \"heavy\"", "node = \"a\"", "node = \"b\""}) {
    EXPECT_NE(run.output.find(part), std::string::npos) << part << "\n" << run.output;
  }
  expect_refusal("model placement mini --node a", 1, "model mini has no experts");
  expect_refusal("model placement heavy --node a --replicas 2", 1, "expected 1 to 1, the number of nodes");
  expect_refusal("model placement heavy --node a=1", 1, "places are needed");
  expect_refusal("model placement heavy --node a=b", 1, "--node is \"a=b\"");
}

TEST(Troupe, SaysThatAFullDiskLostItsOutput) {
  expect_refusal("generate --quiet --raw -n 4 Hi > /dev/full", 1, "cannot write to the standard output");
  expect_refusal("model inspect mini > /dev/full", 1, "cannot write to the standard output");
}

TEST(Troupe, AnInterruptEndsAnAnswerEarlyWithItsOwnStatus) {
  // The interrupt is sent once something was said; an answer of 2000 tokens on one thread without vectors is far from its end
  // then.
  const Outcome run = troupe(
      "--version > /dev/null; said=$(mktemp); " TROUPE_BINARY
      " generate --quiet --isa plain --threads 1 --model heavy --raw --ignore-end -n 2000 'The retention period' > $said & "
      "until [ -s $said ] || ! kill -0 $!; do sleep 0.02; done; kill -INT $!; wait $!; status=$?; rm $said; exit $status");
  EXPECT_EQ(run.status, 130) << run.output;
  EXPECT_NE(run.output.find("ended early: cancelled"), std::string::npos) << run.output;
}

TEST(Troupe, RefusesANodesNameBeforeItMakesAFolderOfIt) {
  expect_refusal("node --tier none --name 'two words' --data /nonexistent/x", 1, "a node cannot be named \"two words\"");
  expect_refusal("node --tier none --name ../x", 1, "--name is \"../x\", which is no folder's name");
  expect_refusal("node --tier none,mini --data /nonexistent/x", 1, "each has a --tier of its own, and \"none\" stands alone");
}

}  // namespace
}  // namespace troupe
