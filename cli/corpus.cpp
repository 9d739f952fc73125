// troupe corpus: which documents a node answers from.
#include "cli/corpus.hpp"

#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "cli/answer_view.hpp"
#include "storage/documents.hpp"

namespace troupe::cli {

namespace {

struct AddOptions {
  CorpusChoice corpus;
  std::vector<std::string> paths;
  bool json = false;
};
struct RemoveOptions {
  CorpusChoice corpus;
  std::vector<std::string> names;
  bool json = false;
};
struct ListOptions {
  CorpusChoice corpus;
  bool json = false;
};

/// What is to become of the documents that were named.
struct Adding {
  std::map<std::string, policy::DocumentEntry> known;  ///< by name
  std::map<std::string, std::filesystem::path> taken;  ///< by name: where it came from
  std::set<std::filesystem::path> files;               ///< all of these, as the file system knows them
  policy::CorpusChange change;
  std::size_t added = 0;
  std::size_t changed = 0;
  std::size_t unchanged = 0;
  std::size_t others = 0;
  std::vector<std::string> links;
  std::vector<std::string> refused;  ///< why, each with its file
};

/// A document that is refused leaves the one that is there. A file that is named twice, as itself and in its folder, is taken
/// once.
void add_document(const storage::DocumentFile& file, Adding& adding) {
  std::error_code unknown;
  const auto itself = std::filesystem::canonical(file.path, unknown);
  if (!unknown && !adding.files.insert(itself).second) return;
  const auto [taken, first] = adding.taken.emplace(file.name, file.path);
  if (!first) {
    return adding.refused.push_back(file.path.string() + ": " + taken->second.string() +
                                    " would be the same document; rename one");
  }
  auto bytes = storage::read_document(file);
  if (!bytes) return adding.refused.push_back(bytes.error().message);
  const auto known = adding.known.find(file.name);
  if (known != adding.known.end() && known->second.content_hash == bytes->content_hash) {
    ++adding.unchanged;
    return;
  }
  auto document = storage::parse_document(file, *bytes);
  if (!document) return adding.refused.push_back(document.error().message);
  if (document->sections.empty()) return adding.refused.push_back(file.path.string() + ": there is no text in it");
  (known == adding.known.end() ? adding.added : adding.changed) += 1;
  adding.change.documents.push_back(*std::move(document));
}

/// What there is without any change.
policy::CorpusView unchanged(const CorpusAccess& corpus, const std::map<std::string, policy::DocumentEntry>& known) {
  policy::CorpusView view{corpus.node(), "", static_cast<std::uint32_t>(known.size()), 0};
  for (const auto& [name, document] : known) view.sections += document.sections;
  return view;
}

/// The end of what a change says; on the error stream, where else something is to be done.
void tell(CorpusAccess& corpus, const policy::CorpusView& view, bool changed, Json* object) {
  const auto others = changed ? corpus.others(view.version) : std::vector<OtherCorpus>();
  if (object != nullptr) {
    (*object)["documents"] = view.documents;
    (*object)["sections"] = view.sections;
    if (!corpus.node().empty()) (*object)["node"] = corpus.node();
    for (const OtherCorpus& other : others) {
      (*object)["other_corpora"].push_back({{"node", other.node}, {"connect", other.clients}});
    }
    std::cout << dumped(*object) << '\n';
    return;
  }
  std::cout << "; the corpus has " << view.documents << " documents with " << view.sections << " sections";
  if (changed && !corpus.node().empty()) std::cout << ", and node " << corpus.node() << " answers from it";
  std::cout << std::endl;
  for (const OtherCorpus& other : others) {
    std::cerr << "each node has a corpus of its own, and that of " << other.node
              << " is another one; the same there: --connect " << other.clients << '\n';
  }
}

Result<int> add(const AddOptions& options) {
  TROUPE_TRY(const auto corpus, options.corpus.open());
  TROUPE_TRY(auto documents, corpus->documents());
  Adding adding;
  for (policy::DocumentEntry& document : documents) adding.known.emplace(document.name, document);
  std::vector<storage::DocumentFile> files;
  for (const std::string& path : options.paths) {
    const auto found = storage::find_documents(path);
    if (!found) {
      adding.refused.push_back(found.error().message);
      continue;
    }
    files.insert(files.end(), found->files.begin(), found->files.end());
    adding.refused.insert(adding.refused.end(), found->refused.begin(), found->refused.end());
    adding.others += found->others;
    for (const auto& link : found->links) adding.links.push_back(link.string());
  }
  auto progress = show_progress("reading documents");
  for (std::size_t i = 0; i < files.size(); ++i) {
    progress(static_cast<double>(i) / static_cast<double>(files.size()));
    add_document(files[i], adding);
  }
  progress(1);
  tell_refused(adding.refused);
  for (const std::string& link : adding.links) {
    std::cerr << "not followed: " << plain_line(link) << " is a symbolic link; name it to add what it leads to\n";
  }
  policy::CorpusView view = unchanged(*corpus, adding.known);
  const bool changes = !adding.change.documents.empty();
  if (changes) {
    TROUPE_TRY(view, corpus->change(std::move(adding.change)));
  }
  if (options.json) {
    Json object{{"added", adding.added},     {"changed", adding.changed}, {"unchanged", adding.unchanged},
                {"refused", adding.refused}, {"links", adding.links},     {"other_files", adding.others}};
    tell(*corpus, view, changes, &object);
  } else {
    std::cout << adding.added << " added, " << adding.changed << " changed, " << adding.unchanged << " unchanged, "
              << adding.refused.size() << " refused";
    if (adding.others > 0) std::cout << ", " << adding.others << " files of other kinds passed over";
    tell(*corpus, view, changes, nullptr);
  }
  return adding.refused.empty() ? 0 : 1;
}

Result<int> remove(const RemoveOptions& options) {
  TROUPE_TRY(const auto corpus, options.corpus.open());
  TROUPE_TRY(const auto view, corpus->change({{}, options.names}));
  if (options.json) {
    Json object{{"removed", options.names.size()}};
    tell(*corpus, view, true, &object);
  } else {
    std::cout << options.names.size() << " removed";
    tell(*corpus, view, true, nullptr);
  }
  return 0;
}

Result<int> list(const ListOptions& options) {
  TROUPE_TRY(const auto corpus, options.corpus.open());
  TROUPE_TRY(const auto documents, corpus->documents());
  for (const policy::DocumentEntry& document : documents) {
    if (options.json) {
      std::cout << dumped({{"document", document.name},
                           {"sections", document.sections},
                           {"content_hash", document.content_hash.empty() ? Json() : Json(document.content_hash)}})
                << '\n';
    } else {
      std::cout << plain_line(document.name) << "  " << document.sections << " sections"
                << (document.content_hash.empty() ? "" : "  " + plain_line(document.content_hash.substr(0, 12))) << '\n';
    }
  }
  if (documents.empty() && !options.json) std::cout << "there are no documents\n";
  return 0;
}

}  // namespace

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
      "  troupe corpus add handbook/ --connect 127.0.0.1:7401    to another node that runs\n"
      "Markdown (*.md), web pages (*.html) and text (*.txt), in UTF-8; of a folder, all in it but README.md and symbolic\n"
      "links, which are followed if they are named themselves. A document whose file has not changed is not read again. One\n"
      "that cannot be read is refused and named, the others are added.\n"
      "While the node runs, it is sent the documents, makes the new index beside the old one, and answers from it when the\n"
      "command ends; all are there then, or, if anything fails, none. Answers that were given or begun before keep what they\n"
      "were made from. A node that does not run answers from them when it is started again (without --corpus).\n"
      "Each node has a corpus of its own, and a conversation is answered from that of its home.\n"
      "Exit status: 0 all were added, 1 some were refused or an error, 2 a wrong command line.");
  in.add_option("path", adding->paths, "Files and folders")->required();
  adding->corpus.add_to(in);
  flag_json(in, adding->json, "One JSON object");
  in.callback([adding, &action] { action = [adding] { return add(*adding); }; });

  auto removing = std::make_shared<RemoveOptions>();
  CLI::App& out = *corpus.add_subcommand("remove", "Remove documents");
  out.footer(
      "Examples:\n"
      "  troupe corpus remove notes.txt handbook/doors\n"
      "All of them or, if one is not there, none; of a node that runs as well.");
  out.add_option("document", removing->names, "Names, as troupe corpus list shows them")->required();
  removing->corpus.add_to(out);
  flag_json(out, removing->json, "One JSON object");
  out.callback([removing, &action] { action = [removing] { return remove(*removing); }; });

  auto listing = std::make_shared<ListOptions>();
  CLI::App& shown = *corpus.add_subcommand("list", "Show the documents");
  listing->corpus.add_to(shown);
  flag_json(shown, listing->json, "One JSON object for each document");
  shown.callback([listing, &action] { action = [listing] { return list(*listing); }; });

  add_corpus_search(corpus, action);
}

}  // namespace troupe::cli
