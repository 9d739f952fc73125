#include "actors/model_replica.hpp"

#include <algorithm>
#include <utility>

namespace troupe::actors {

namespace {
/// Batches under way at once where experts answer late, so that one computes while the other waits.
constexpr std::int32_t passes_with_dispatch = 2;
}  // namespace

Result<std::unique_ptr<ModelReplica>> ModelReplica::load(const std::filesystem::path& folder,
                                                         std::unique_ptr<kernels::Device> device,
                                                         const engine::EngineOptions& options, std::uint32_t index,
                                                         policy::Tier tier, std::string model_name,
                                                         const model::Progress& progress,
                                                         const std::shared_ptr<NodeExperts>& experts) {
  std::unique_ptr<ModelReplica> replica(new ModelReplica);
  replica->clock_ = std::make_shared<SystemClock>();
  replica->loaded_ = std::make_shared<Loaded>();
  Loaded& loaded = *replica->loaded_;
  loaded.device = std::move(device);
  engine::EngineOptions chosen = options;
  if (const ExpertModel* const placed = experts ? experts->find(folder) : nullptr) {
    TROUPE_TRY(auto model, model::Model::load(folder, experts->placed(*placed), *loaded.device, progress));
    loaded.model.emplace(std::move(model));
    replica->experts_ = experts;
    TROUPE_TRY(replica->dispatch_, experts->dispatch(*loaded.model, *loaded.device, options.batch.tokens_max));
    TROUPE_TRY_DO(experts->add_engine(std::shared_ptr<const model::Model>(replica->loaded_, &*loaded.model)));
    chosen.passes = std::max(chosen.passes, passes_with_dispatch);
  } else {
    TROUPE_TRY(auto model, model::Model::load(folder, *loaded.device, progress));
    loaded.model.emplace(std::move(model));
  }
  if (!loaded.model->chat_template) {
    return Error{ErrorCode::unsupported,
                 folder.string() +
                     ": the model has no chat template, so it cannot hold a conversation; write one into "
                     "chat_template.jinja, or take a model tuned for chats"};
  }
  const std::vector<model::ChatMessage> prompt{{"system", "You answer."}, {"user", "Hello"}};  // as every prompt begins
  if (const auto rendered = loaded.model->chat_template->render(prompt, /*add_generation_prompt=*/true); !rendered) {
    return Error{rendered.error().code, folder.string() + ": its chat template takes no system message and a question: " +
                                            rendered.error().message + "; change it, or take another model"};
  }
  TROUPE_TRY(replica->engine_,
             engine::Engine::create(*loaded.model, *loaded.device, *replica->clock_, chosen, replica->dispatch_.get()));
  replica->thread_ = std::make_unique<engine::EngineThread>(*replica->engine_, *replica->clock_);
  replica->replica_ = std::make_unique<EngineReplica>(
      *loaded.model, *replica->engine_, replica->clock_, index, tier, std::move(model_name),
      [thread = replica->thread_.get()](std::function<void(engine::Engine&)> work) { thread->post(std::move(work)); });
  return replica;
}

ModelReplica::~ModelReplica() {
  if (replica_) replica_->close();
  // Works that wait for experts elsewhere end now, or the engine's end would wait for them.
  if (dispatch_) dispatch_->stop();
}

}  // namespace troupe::actors
