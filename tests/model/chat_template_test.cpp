#include "model/chat_template.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "model/file.hpp"
#include "model/template_interpreter.hpp"
#include "model/template_parser.hpp"
#include "model/tokenizer.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe::model {
namespace {

using Json = nlohmann::ordered_json;
using Ids = std::vector<TokenId>;
const std::string root = TROUPE_SOURCE_DIR;

std::vector<Json> rows_of(const std::string& file) {
  std::vector<Json> rows;
  std::ifstream stream(root + "/tests/" + file);
  for (std::string line; std::getline(stream, line);) rows.push_back(Json::parse(line));
  return rows;
}

TemplateValue value_of(const Json& json) {
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number()) return json.get<std::int64_t>();
  if (json.is_string()) return TemplateText(json.get<std::string>());
  if (json.is_array()) {
    std::vector<TemplateValue> items;
    for (const Json& item : json) items.push_back(value_of(item));
    return *TemplateValue::list(std::move(items));
  }
  if (!json.is_object()) return {};
  TemplateMap map;
  for (const auto& [name, value] : json.items()) map.entries.emplace_back(name, value_of(value));
  return map;
}

Result<std::string> run(const std::string& source, const Json& variables = Json::object()) {
  TROUPE_TRY(const auto block, parse_template(source));
  TemplateVariables values;
  for (const auto& [name, value] : variables.items()) values.emplace_back(name, value_of(value));
  TROUPE_TRY(auto text, run_template(block, std::move(values)));
  return std::move(text.bytes);
}

std::string error_of(const std::string& source, const Json& variables = Json::object()) {
  const auto text = run(source, variables);
  return text ? "no error, but: " + *text : text.error().message;
}

std::vector<ChatMessage> messages_of(const Json& row) {
  std::vector<ChatMessage> messages;
  for (const Json& message : row.at("messages")) messages.push_back({message.at("role"), message.at("content")});
  return messages;
}

TEST(ChatTemplate, RendersAndEncodesTheFixturesLikeHuggingFace) {
  const auto rows = rows_of("fixtures/chat.jsonl");
  ASSERT_EQ(rows.size(), 16U);
  for (const std::string tier : {"mini", "medium", "heavy"}) {
    const auto chat_template = ChatTemplate::load(root + "/portfolio/" + tier);
    ASSERT_TRUE(chat_template) << chat_template.error().message;
    const auto tokenizer = Tokenizer::load(root + "/portfolio/" + tier + "/tokenizer.json");
    for (const Json& row : rows) {
      const auto chat = chat_template->render(messages_of(row), row.at("add_generation_prompt"));
      ASSERT_TRUE(chat) << chat.error().message;
      EXPECT_EQ(chat->text, row.at("text").get<std::string>());
      EXPECT_EQ(tokenizer->encode(chat->text).value(), row.at("ids").get<Ids>());
    }
  }
}

TEST(ChatTemplate, EncodesMessagesSafelyAndOtherwiseTheSame) {
  const auto chat_template = *ChatTemplate::load(root + "/portfolio/mini");
  const auto tokenizer = *Tokenizer::load(root + "/portfolio/mini/tokenizer.json");
  int with_special = 0;
  for (const Json& row : rows_of("fixtures/chat.jsonl")) {
    const auto messages = messages_of(row);
    const auto chat = chat_template.render(messages, row.at("add_generation_prompt")).value();
    const auto ids = tokenizer.encode(chat.text, chat.from_messages).value();
    EXPECT_EQ(tokenizer.decode(ids, false), chat.text);
    if (row.at("messages").dump().find("<|im_") == std::string::npos) {
      EXPECT_EQ(ids, row.at("ids").get<Ids>());
      continue;
    }
    ++with_special;
    EXPECT_NE(ids, row.at("ids").get<Ids>());
    std::size_t special = 0;
    for (const TokenId id : ids) special += tokenizer.is_special(id) ? 1 : 0;
    EXPECT_EQ(special, 2 * messages.size() + (row.at("add_generation_prompt").get<bool>() ? 1 : 0));
  }
  EXPECT_GT(with_special, 0);
}

TEST(ChatTemplate, KnowsWhichBytesCameFromMessages) {
  const auto chat_template = *ChatTemplate::parse(
      "{% for m in messages %}<{{ m.role ~ '>' + m.content | trim }}{{ m['content'].split('-')[1] }}{{ m.content[::-1] }}{{ "
      "m.content | replace('b', '!') }}.{% endfor %}");
  const auto chat = chat_template.render(std::vector<ChatMessage>{{"user", " a-b "}}, false).value();
  EXPECT_EQ(chat.text, "<user>a-bb  b-a  a-! .");
  EXPECT_EQ(chat.from_messages, (std::vector<TextSpan>{{1, 5}, {6, 21}}));
}

TEST(ChatTemplate, WritesWhatJinjaWritesForLlamaAndQwenTemplates) {
  const auto rows = rows_of("model/chat_templates/conversations.jsonl");
  ASSERT_EQ(rows.size(), 24U);
  for (const Json& row : rows) {
    const auto source =
        *read_file(root + "/tests/model/chat_templates/" + row.at("template").get<std::string>() + ".jinja", 65536);
    const auto text = run(source, row.at("variables"));
    ASSERT_TRUE(text) << text.error().message;
    EXPECT_EQ(*text, row.at("text").get<std::string>());
  }
}

TEST(ChatTemplate, WritesWhatJinjaWritesForSmallTemplates) {
  const auto rows = rows_of("model/chat_templates/snippets.jsonl");
  ASSERT_EQ(rows.size(), 60U);
  for (std::size_t i = 1; i < rows.size(); ++i) {
    const auto source = rows[i].at("template").get<std::string>();
    const auto text = run(source, rows[0]);
    ASSERT_TRUE(text) << source << "\n" << text.error().message;
    EXPECT_EQ(*text, rows[i].at("text").get<std::string>()) << source;
  }
}

TEST(ChatTemplate, TakesVariablesFromTheCallerAndTheModelsFolder) {
  const tests::TemporaryFolder folder;
  const auto write = [&](const char* name, const std::string& text) { std::ofstream(folder.path() / name) << text; };
  EXPECT_EQ(ChatTemplate::load(folder.path()).error().code, ErrorCode::not_found);
  write("tokenizer_config.json", R"({"bos_token": {"content": "<s>"}, "eos_token": "</s>", "unk_token": null})");
  EXPECT_EQ(ChatTemplate::load(folder.path()).error().code, ErrorCode::not_found);
  write("tokenizer_config.json", R"({"bos_token": {"content": "<s>"}, "eos_token": "</s>", "chat_template":
      "{{ bos_token }}{{ eos_token }}{{ unk_token is defined }}{{ tools is none }}{{ depth }}{{ think }}"})");
  const auto from_config = *ChatTemplate::load(folder.path());
  const std::vector<ChatVariable> variables{{"eos_token", std::string("E")}, {"depth", std::int64_t{3}}, {"think", false}};
  EXPECT_EQ(from_config.render({}, false)->text, "<s></s>FalseTrue");
  EXPECT_EQ(from_config.render({}, false, variables)->text, "<s>EFalseTrue3False");
  write("chat_template.jinja", "{{ bos_token }}!");
  EXPECT_EQ(ChatTemplate::load(folder.path())->render({}, false)->text, "<s>!");
  write("tokenizer_config.json", R"({"chat_template": [{"name": "default"}]})");
  std::filesystem::remove(folder.path() / "chat_template.jinja");
  EXPECT_NE(ChatTemplate::load(folder.path()).error().message.find("chat_template is a list of 1 values, expected a string"),
            std::string::npos);
}

TEST(ChatTemplate, RefusesConstructsByNameAndLine) {
  const std::pair<const char*, const char*> cases[] = {
      {"a\n{% macro f() %}{% endmacro %}", "line 2: statement \"macro\" is not supported in chat templates"},
      {"{% raw %}x{% endraw %}", "line 1: statement \"raw\" is not supported in chat templates"},
      {"{% set a, b = x %}", "line 1: \"set\" of \",\" (other than NAME = VALUE or NAMESPACE.FIELD = VALUE) is not supported"},
      {"{% set a %}x{% endset %}", "line 1: \"set\" of \"%}\""},
      {"\n\n{{ x | sort }}", "line 3: filter \"sort\" is not supported in chat templates"},
      {"{{ x is callable }}", "line 1: test \"callable\" is not supported in chat templates"},
      {"{{ x.append(1) }}", "line 1: method \"append\" is not supported in chat templates"},
      {"{{ x.items }}", "line 1: method \"items\" without a call is not supported"},
      {"{{ 1.5 }}", "line 1: number \"1....\": only decimal integers are supported"},
      {"{{ 1 / 2 }}", "line 1: operator \"/\""},
      {"{{ 2 ** 3 }}", "line 1: operator \"**\" is not supported"},
      {"{{ 1 < 2 < 3 }}", "line 1: a chain of comparisons"},
      {"{{ (1, 2) }}", "line 1: a tuple is not supported"},
      {"{{ {'a': 1} }}", "line 1: a mapping written with braces is not supported"},
      {"{{ '\\x41' }}", "line 1: string has an escape \"\\x41'\" that is not supported"},
      {"{% for a, b, c in x %}{% endfor %}", "line 1: a loop with more than two variables is not supported"},
      {"{% for a in x recursive %}{% endfor %}", "line 1: \"recursive\" is not supported"},
      {"{{ loop.cycle }}", "line 1: \"loop.cycle\" is not supported"},
      {"{{ x()() }}", "line 1: a call of something other than a name is not supported"},
  };
  for (const auto& [source, message] : cases) {
    const auto error = ChatTemplate::parse(source).error();
    EXPECT_EQ(error.code, ErrorCode::unsupported) << error.message;
    EXPECT_TRUE(error.message.starts_with(std::string("chat template: ") + message))
        << error.message << "\nexpected " << message;
  }
}

TEST(ChatTemplate, RefusesWhatIsNotJinja) {
  const std::pair<const char*, const char*> cases[] = {
      {"{{ x", "line 1: tag is not closed, expected }}"},
      {"{% if x %}", "line 1: the end of the template, expected a tag that ends the block"},
      {"{% if x %}{% endfor %}", "line 1: \"endfor\" within the \"if\" of line 1, expected endif"},
      {"{% if x %}{% else %}{% elif y %}{% endif %}", "line 1: \"elif\" within the \"if\""},
      {"{% for x in y %}{% endif %}", "line 1: \"endif\" within the \"for\" of line 1, expected endfor"},
      {"{% endif %}", "line 1: \"endif\" stands alone, without what it ends"},
      {"{% for in x %}", "line 1: \"in\", expected the name of a loop variable"},
      {"{# x", "line 1: comment {# is not closed, expected #}"},
      {"{{ 'x }}", "line 1: string is not closed"},
      {"{{ }}", "line 1: \"}}\", expected a value"},
      {"{{ x y }}", "line 1: \"y\", expected \"}}\""},
      {"{{ (x] }}", "line 1: \"]\" closes nothing"},
      {"{{ x[] }}", "line 1: empty subscript, expected an index"},
      {"{{ f(a=1, 2) }}", "line 1: \"2\", expected a named argument"},
      {"{{ $ }}", "line 1: character \"$\" has no meaning in a tag"},
      {"{{ 99999999999999999999 }}", "line 1: integer does not fit into 64 bits"},
      {"\xFF", "template is not valid UTF-8 at byte 0"},
  };
  for (const auto& [source, message] : cases)
    EXPECT_TRUE(error_of(source).starts_with(message)) << error_of(source) << "\nexpected " << message;
}

TEST(ChatTemplate, SaysWhichLineCannotBeRendered) {
  const Json variables = {{"n", 1}, {"l", {1, 2}}};
  const std::pair<const char*, const char*> cases[] = {
      {"\n{{ x.y }}", "line 2: cannot read \"y\" of \"x\", which is undefined"},
      {"{{ 'a' + n }}", "line 1: cannot apply \"+\" to a string and an integer"},
      {"{{ x + 'a' }}", "line 1: cannot apply \"+\" to \"x\", which is undefined, and a string"},
      {"{{ l }}", "line 1: a list is printed; only strings"},
      {"{% for i in n %}{% endfor %}", "line 1: is given an integer, expected a string, a list or a mapping"},
      {"{{ n | trim | first | upper }}{{ n | join }}", "line 1: filter \"join\": is given an integer"},
      {"{{ now() }}", "line 1: cannot call \"now\", which is undefined"},
      {"{{ 1 // 0 }}", "line 1: division by zero"},
      {"{{ 9223372036854775807 + 1 }}", "line 1: result of \"+\" does not fit into 64 bits"},
      {"{{ l[::0] }}", "line 1: slice has step 0"},
      {"{{ '\u00E9' | upper }}", "line 1: filter \"upper\": upper and lower case are known for ASCII text only"},
      {"{{ 'a' | replace('', 'b') }}", "line 1: filter \"replace\": is asked to replace an empty string"},
      {"{% set n.x = 1 %}", "line 1: cannot set a field of an integer"},
      {"{{ raise_exception('roles must alternate') }}", "line 1: the template refuses the conversation: roles must alternate"},
  };
  for (const auto& [source, message] : cases) {
    EXPECT_TRUE(error_of(source, variables).starts_with(message)) << error_of(source, variables) << "\nexpected " << message;
  }
}

TEST(ChatTemplate, RefusesMessagesThatAreNotUtf8) {
  const auto chat_template = *ChatTemplate::parse("x");
  const auto error = chat_template.render(std::vector<ChatMessage>{{"user", "a"}, {"user", "ab\xFF"}}, true).error();
  EXPECT_EQ(error.message, "content of message 2 is not valid UTF-8 at byte 2 of 3");
}

TEST(ChatTemplate, BoundsNestingInItsSource) {
  const auto repeated = [](const std::string& text, int count) {
    std::string all;
    for (int i = 0; i < count; ++i) all += text;
    return all;
  };
  for (const std::string& source :
       {repeated("{% if x %}", 5000), "{{ " + repeated("(", 20000) + repeated(")", 20000) + " }}",
        "{{ " + repeated("[", 20000) + repeated("]", 20000) + " }}", "{{ " + repeated("not ", 10000) + "x }}",
        "{{ " + repeated("-", 20000) + "1 }}", "{{ x" + repeated(".a", 20000) + " }}",
        "{{ x" + repeated("|trim", 10000) + " }}", "{{ 1" + repeated("+1", 20000) + " }}",
        "{{ x" + repeated(" or x", 10000) + " }}", "{{ 1" + repeated(" if 1 else 1", 5000) + " }}",
        "{{ x" + repeated("[x", 20000) + repeated("]", 20000) + " }}", std::string(65537, ' ')}) {
    const auto error = ChatTemplate::parse(source).error();
    EXPECT_EQ(error.code, ErrorCode::too_large) << source.substr(0, 20) << ": " << error.message;
  }
}

TEST(ChatTemplate, BoundsTheWorkOfARendering) {
  const std::string doubling =
      "{% set ns = namespace(x='abcdefgh') %}{% for i in range(100) %}{% set ns.x = ns.x + ns.x %}{% endfor %}";
  const std::string lists = "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}";
  const std::string loops = "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}";
  const std::string output = "{% for a in range(100000) %}" + std::string(1000, 'x') + "{% endfor %}";
  const std::string nested = "{% set ns = namespace(x=[]) %}{% for i in range(100) %}{% set ns.x = [ns.x] %}{% endfor %}";
  const std::string replacing =
      "{% set ns = namespace(x='aaaaaaaaaa') %}{% for i in range(20) %}{% set ns.x = ns.x.replace('a', ns.x) %}{% endfor %}";
  for (const std::string& source : {doubling, lists, loops, output, nested, replacing}) {
    const auto text = run(source);
    ASSERT_FALSE(text) << source;
    EXPECT_EQ(text.error().code, ErrorCode::too_large) << text.error().message;
  }
}

TEST(ChatTemplate, NeverCrashesOnChangedTemplates) {
  const std::string sources[] = {*read_file(root + "/tests/model/chat_templates/qwen3.jinja", 65536),
                                 *read_file(root + "/tests/model/chat_templates/llama3.jinja", 65536)};
  const std::string pieces[] = {"{%", "%}",  "{{", "}}",  "-", "(", ")",   "[",     "]",  "'",
                                "if", "for", "in", "not", "|", ".", "set", "endif", "\n", "x"};
  const Json variables = rows_of("model/chat_templates/snippets.jsonl").front();
  Random random(7);
  int rendered = 0;
  for (int i = 0; i < 4000; ++i) {
    std::string source = sources[random.below(2)];
    for (std::uint64_t changes = 1 + random.below(3); changes > 0; --changes) {
      const std::string& piece = pieces[random.below(std::size(pieces))];
      source.replace(random.below(source.size()), random.below(4), piece);
    }
    rendered += run(source, variables) ? 1 : 0;
  }
  EXPECT_GT(rendered, 0);
}

}  // namespace
}  // namespace troupe::model
