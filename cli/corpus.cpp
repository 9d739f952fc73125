// troupe corpus: which documents a node answers from.
#include "cli/corpus.hpp"

#include <algorithm>
#include <iostream>
#include <map>
#include <utility>

#include "cli/answer_view.hpp"
#include "cli/data_folder.hpp"
#include "storage/corpus_documents.hpp"
#include "storage/data_folder.hpp"
#include "storage/documents.hpp"

namespace troupe::cli {

namespace {

using Documents = std::map<std::string, storage::Document>;  // by name, which is the corpus's order

struct AddOptions {
  DataChoice data;
  std::vector<std::string> paths;
  bool json = false;
};
struct RemoveOptions {
  DataChoice data;
  std::vector<std::string> names;
  bool json = false;
};
struct ListOptions {
  DataChoice data;
  bool json = false;
};

Result<Documents> documents_of(const storage::Store& store) {
  TROUPE_TRY(auto stored, storage::load_documents(store));
  Documents documents;
  for (storage::Document& document : stored) {
    std::string name = document.name;
    documents.emplace(std::move(name), std::move(document));
  }
  return documents;
}

Result<void> write_all(storage::Store& store, const std::vector<storage::WriteBatch>& batches) {
  for (const auto& written : store.write(batches)) TROUPE_TRY_DO(written);
  return {};
}

/// Makes these the store's corpus; returns how many sections it has.
Result<std::size_t> keep(storage::Store& store, const Documents& documents) {
  std::vector<storage::Document> ordered;
  std::size_t sections = 0;
  for (const auto& [name, document] : documents) {
    ordered.push_back(document);
    sections += document.sections.size();
  }
  TROUPE_TRY(const auto batches, storage::put_documents(ordered));
  TROUPE_TRY_DO(write_all(store, batches));
  TROUPE_TRY(const auto forgotten, storage::forget_other_corpora(store));
  TROUPE_TRY_DO(write_all(store, forgotten));
  return sections;
}

/// What became of the documents that were to be added.
struct Added {
  std::size_t added = 0;
  std::size_t changed = 0;
  std::size_t unchanged = 0;
  std::size_t others = 0;
  std::vector<std::string> links;
  std::vector<std::string> refused;  ///< why, each with its file
};

/// A document that is refused leaves the one that was there.
void add_document(const storage::DocumentFile& file, Documents& documents, Added& added) {
  auto bytes = storage::read_document(file);
  if (!bytes) return added.refused.push_back(bytes.error().message);
  const auto known = documents.find(file.name);
  if (known != documents.end() && known->second.content_hash == bytes->content_hash) {
    ++added.unchanged;
    return;
  }
  auto document = storage::parse_document(file, *bytes);
  if (!document) return added.refused.push_back(document.error().message);
  if (document->sections.empty()) return added.refused.push_back(file.path.string() + ": there is no text in it");
  (known == documents.end() ? added.added : added.changed) += 1;
  documents.insert_or_assign(file.name, *std::move(document));
}

Result<int> add(const AddOptions& options) {
  TROUPE_TRY(const auto store, options.data.open());
  TROUPE_TRY(auto documents, documents_of(*store));
  std::vector<storage::DocumentFile> files;
  Added added;
  for (const std::string& path : options.paths) {
    TROUPE_TRY(const auto found, storage::find_documents(path));
    files.insert(files.end(), found.files.begin(), found.files.end());
    added.others += found.others;
    for (const auto& link : found.links) added.links.push_back(link.string());
  }
  auto progress = show_progress("reading documents");
  for (std::size_t i = 0; i < files.size(); ++i) {
    progress(static_cast<double>(i) / static_cast<double>(files.size()));
    add_document(files[i], documents, added);
  }
  progress(1);
  std::size_t sections = 0;
  for (const auto& [name, document] : documents) sections += document.sections.size();
  if (added.added + added.changed > 0) {
    TROUPE_TRY(sections, keep(*store, documents));
  }
  for (const std::string& why : added.refused) std::cerr << "refused: " << why << '\n';
  for (const std::string& link : added.links) std::cerr << "not followed: " << link << " is a symbolic link\n";
  if (options.json) {
    std::cout << dumped({{"added", added.added},
                         {"changed", added.changed},
                         {"unchanged", added.unchanged},
                         {"refused", added.refused},
                         {"links", added.links},
                         {"other_files", added.others},
                         {"documents", documents.size()},
                         {"sections", sections}})
              << '\n';
  } else {
    std::cout << added.added << " added, " << added.changed << " changed, " << added.unchanged << " unchanged, "
              << added.refused.size() << " refused; the corpus has " << documents.size() << " documents with " << sections
              << " sections\n";
  }
  return added.refused.empty() ? 0 : 1;
}

Result<int> remove(const RemoveOptions& options) {
  TROUPE_TRY(const auto store, options.data.open());
  TROUPE_TRY(auto documents, documents_of(*store));
  for (const std::string& name : options.names) {
    if (documents.erase(name) == 0) {
      return Error{ErrorCode::not_found, "the corpus has no document \"" + name + "\"; troupe corpus list shows them"};
    }
  }
  TROUPE_TRY(const std::size_t sections, keep(*store, documents));
  if (options.json) {
    std::cout << dumped({{"removed", options.names.size()}, {"documents", documents.size()}, {"sections", sections}}) << '\n';
  } else {
    std::cout << options.names.size() << " removed; the corpus has " << documents.size() << " documents with " << sections
              << " sections\n";
  }
  return 0;
}

Result<int> list(const ListOptions& options) {
  TROUPE_TRY(const auto store, options.data.open());
  TROUPE_TRY(const auto documents, documents_of(*store));
  for (const auto& [name, document] : documents) {
    if (options.json) {
      std::cout << dumped({{"document", name}, {"sections", document.sections.size()}, {"content_hash", document.content_hash}})
                << '\n';
    } else {
      std::cout << name << "  " << document.sections.size() << " sections"
                << (document.content_hash.empty() ? "" : "  " + document.content_hash.substr(0, 12)) << '\n';
    }
  }
  if (documents.empty() && !options.json) std::cout << "there are no documents\n";
  return 0;
}

}  // namespace

void DataChoice::add_to(CLI::App& command) {
  command.add_option("--data", folder, "Data folder of a node that is not running (default: that of --node)")->group("Corpus");
  command.add_option("--node", node, "The node whose default data folder is meant")->capture_default_str()->group("Corpus");
}

Result<std::unique_ptr<storage::RocksStore>> DataChoice::open() const {
  const std::filesystem::path path = folder.empty() ? default_data_folder(node) : std::filesystem::path(folder);
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) {
    return Error{ErrorCode::not_found, "there is no data folder " + path.string() + "; start a node with it first"};
  }
  TROUPE_TRY(auto store, storage::RocksStore::open(path));
  if (const auto claimed = storage::check_claimed(*store); !claimed) return Error(claimed.error()).within(path.string());
  return store;
}

void CorpusChoice::add_to(CLI::App& command) {
  data.add_to(command);
  command.add_option("--documents", documents, "Search these instead: a file, or a folder of documents")->group("Corpus");
}

Result<storage::Corpus> CorpusChoice::load() const {
  if (documents.empty()) {
    TROUPE_TRY(const auto store, data.open());
    TROUPE_TRY(auto corpus, storage::load_corpus(*store));
    return corpus ? *std::move(corpus) : storage::Corpus();
  }
  TROUPE_TRY(const auto found, storage::find_documents(documents));
  std::vector<storage::Section> sections;
  for (const storage::DocumentFile& file : found.files) {
    TROUPE_TRY(const auto bytes, storage::read_document(file));
    TROUPE_TRY(auto document, storage::parse_document(file, bytes));
    std::move(document.sections.begin(), document.sections.end(), std::back_inserter(sections));
  }
  return storage::make_corpus(std::move(sections));
}

void add_corpus(CLI::App& app, Action& action) {
  CLI::App& corpus = *app.add_subcommand("corpus", "Add, list, remove and search the documents that a node answers from");
  corpus.require_subcommand(1);
  const auto flag_json = [](CLI::App& command, bool& json, const std::string& what) {
    command.add_flag("--json", json, what)->group("Output");
  };

  auto adding = std::make_shared<AddOptions>();
  CLI::App& in = *corpus.add_subcommand("add", "Add documents, or their new contents");
  in.footer(
      "Examples:\n"
      "  troupe corpus add handbook/\n"
      "  troupe corpus add handbook/ notes.txt --data /var/lib/troupe\n"
      "Markdown (*.md), web pages (*.html) and text (*.txt), in UTF-8; of a folder, all in it. A document whose file has not\n"
      "changed is not read again. One that cannot be read is refused and named, and the others are added.\n"
      "The node must not be running; it answers from the new corpus when it is started again (without --corpus).\n"
      "Exit status: 0 all were added, 1 some were refused or an error, 2 a wrong command line.");
  in.add_option("path", adding->paths, "Files and folders")->required();
  adding->data.add_to(in);
  flag_json(in, adding->json, "One JSON object");
  in.callback([adding, &action] { action = [adding] { return add(*adding); }; });

  auto removing = std::make_shared<RemoveOptions>();
  CLI::App& out = *corpus.add_subcommand("remove", "Remove documents");
  out.add_option("document", removing->names, "Names, as troupe corpus list shows them")->required();
  removing->data.add_to(out);
  flag_json(out, removing->json, "One JSON object");
  out.callback([removing, &action] { action = [removing] { return remove(*removing); }; });

  auto listing = std::make_shared<ListOptions>();
  CLI::App& shown = *corpus.add_subcommand("list", "Show the documents");
  listing->data.add_to(shown);
  flag_json(shown, listing->json, "One JSON object for each document");
  shown.callback([listing, &action] { action = [listing] { return list(*listing); }; });

  add_corpus_search(corpus, action);
}

}  // namespace troupe::cli
