// troupe corpus search: what a search of a corpus finds, and how far it is to be trusted; for one question or for many.
#include <algorithm>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "bench/json_rows.hpp"
#include "cli/answer_view.hpp"
#include "cli/ask.hpp"
#include "cli/corpus.hpp"
#include "model/file.hpp"
#include "model/json.hpp"
#include "policy/retrieval.hpp"

namespace troupe::cli {

namespace {

constexpr std::size_t input_bytes_max = std::size_t{64} << 20;
constexpr std::size_t questions_max = 100'000;
constexpr std::size_t sections_max = 64;

struct SearchOptions {
  CorpusChoice corpus;
  std::string documents;
  std::string question;
  std::string input;
  std::uint32_t limit = 8;
  bool json = false;
};

struct Question {
  std::string text;
  std::optional<std::vector<std::string>> sections;  ///< that an answer needs, if the input says it
};

Result<std::vector<Question>> read_questions(const std::string& name) {
  TROUPE_TRY(const std::string text, model::read_file(name == "-" ? "/dev/stdin" : name, input_bytes_max));
  std::vector<Question> questions;
  TROUPE_TRY_DO(bench::each_row(text, name, input_bytes_max, [&](const model::JsonObject& object, int number) -> Result<void> {
    const std::string where = name + ":" + std::to_string(number);
    if (questions.size() == questions_max) {
      return Error{ErrorCode::too_large, where + ": more than " + std::to_string(questions_max) + " questions"};
    }
    TROUPE_TRY(const std::string_view question, object.string("question", input_bytes_max));
    Question& read = questions.emplace_back(Question{std::string(question), std::nullopt});
    if (!object.has("sections")) return {};
    TROUPE_TRY(const nlohmann::json* sections, object.array("sections", sections_max));
    read.sections.emplace();
    for (const auto& section : *sections) {
      if (!section.is_string()) {
        return Error{ErrorCode::invalid_argument, where + ": \"sections\" has something that is no string, expected keys"};
      }
      read.sections->push_back(section.get<std::string>());
    }
    return {};
  }));
  return questions;
}

Json json_of(const policy::RetrievalEvidence& evidence) {
  return {{"covered", evidence.covered}, {"best_covers", evidence.best_covers},
          {"unknown", evidence.unknown}, {"pairs", evidence.pairs},
          {"lead", evidence.lead},       {"bridge", evidence.bridge}};
}

double confidence_of(const policy::SearchHits& found) { return policy::retrieval_confidence(found.evidence); }

Json json_of(const Question& question, const policy::SearchHits& found) {
  Json object{{"question", question.text}, {"confidence", confidence_of(found)}, {"evidence", json_of(found.evidence)}};
  object["passages"] = Json::array();
  for (const policy::SearchHit& hit : found.hits) {
    Json passage{{"section", hit.section.key}, {"name", hit.section.name}, {"text", hit.section.text}};
    if (!hit.via.empty()) passage["via"] = hit.via;
    object["passages"].push_back(std::move(passage));
  }
  return object;
}

void print(const policy::SearchHits& found) {
  std::ostringstream text;
  if (found.hits.empty()) text << "nothing found\n";
  for (const policy::SearchHit& hit : found.hits) {
    text << hit.section.name << (hit.section.heading.empty() ? "" : " " + hit.section.heading);
    const auto from = std::ranges::find(found.hits, hit.via, [](const policy::SearchHit& each) { return each.section.key; });
    if (!hit.via.empty()) text << ", from " << (from == found.hits.end() ? hit.via : from->section.name);
    text << "\n  " << hit.section.text << '\n';
  }
  std::cout << plain(text.str());
  std::printf("all that an answer needs is there with probability %.2f\n", confidence_of(found));
}

Result<int> search(const SearchOptions& options) {
  OpenDocuments opened;
  if (options.documents.empty()) {
    TROUPE_TRY(opened.corpus, options.corpus.open());
  } else {
    TROUPE_TRY(opened, open_documents(options.documents));
  }
  CorpusAccess& corpus = *opened.corpus;
  tell_refused(opened.refused);
  std::vector<Question> questions{{options.question, std::nullopt}};
  if (!options.input.empty()) {
    TROUPE_TRY(questions, read_questions(options.input));
    if (questions.empty()) return Error{ErrorCode::invalid_argument, options.input + " has no questions"};
  }
  std::size_t judged = 0;
  std::size_t complete = 0;
  for (const Question& question : questions) {
    TROUPE_TRY(const auto found, corpus.search(question.text, options.limit));
    Json object = json_of(question, found);
    if (question.sections) {
      const bool all = std::all_of(question.sections->begin(), question.sections->end(), [&](const std::string& key) {
        return std::any_of(found.hits.begin(), found.hits.end(),
                           [&](const policy::SearchHit& hit) { return hit.section.key == key; });
      });
      object["needed"] = *question.sections;
      object["complete"] = all;
      ++judged;
      complete += all ? 1 : 0;
    }
    if (options.json) {
      std::cout << dumped(object) << '\n';
    } else if (options.input.empty()) {
      print(found);
    }
  }
  if (!options.json && !options.input.empty()) {
    std::cout << questions.size() << " questions";
    if (judged > 0) {
      std::printf("; of %zu, all needed sections are among the first %u for %zu (%.1f %%)", judged, options.limit, complete,
                  100.0 * static_cast<double>(complete) / static_cast<double>(judged));
    }
    std::cout << '\n';
  }
  return opened.refused.empty() ? 0 : 1;
}

}  // namespace

void add_corpus_search(CLI::App& corpus, Action& action) {
  auto options = std::make_shared<SearchOptions>();
  CLI::App& command = *corpus.add_subcommand("search", "Show what a search finds");
  command.footer(
      "Examples:\n"
      "  troupe corpus search \"How long are payroll records kept?\" --documents portfolio/handbook\n"
      "  troupe corpus search --documents portfolio/handbook --input portfolio/handbook/questions.jsonl\n"
      "The input has one JSON object a line: \"question\", and if it is known \"sections\", the keys of those that an answer "
      "needs;\n"
      "then it is counted how often all of these are found.\n"
      "Of --documents, one that cannot be read is refused and named, and the others are searched.\n"
      "Exit status: 0 all were searched, 1 some were refused or an error, 2 a wrong command line.");
  auto* question =
      command.add_option("question", options->question, "What is searched for")->check(not_empty("what to search for"));
  auto* input = command.add_option("--input", options->input, "A file of questions (JSON lines; \"-\": standard input)");
  question->excludes(input);
  command.add_option("--limit", options->limit, "Sections at most")->check(CLI::Range(1, 64))->capture_default_str();
  options->corpus.add_to(command);
  auto* documents =
      command.add_option("--documents", options->documents, "Search these instead: a file, or a folder of documents")
          ->group("Corpus");
  for (const char* of_node : {"--connect", "--data", "--node"}) documents->excludes(of_node);
  command.add_flag("--json", options->json, "One JSON object for each question")->group("Output");
  command.callback([options, question, input, &action] {
    if (question->count() + input->count() == 0) throw CLI::RequiredError("a question, or --input");
    action = [options] { return search(*options); };
  });
}

}  // namespace troupe::cli
